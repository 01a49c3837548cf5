"""Synthetic triplets: pair mining, writing in shards, filters."""
