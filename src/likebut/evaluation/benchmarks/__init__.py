"""Loaders of the official benchmark layouts, one module each, and the registry of benchmarks."""
