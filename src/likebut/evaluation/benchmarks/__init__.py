"""Loaders of the official benchmark layouts, one module each."""
