"""The cache of frozen vision tokens: encoded once, read memory-mapped."""
