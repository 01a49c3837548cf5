"""Pair mining, writing shards of synthetic triplets, filters."""
