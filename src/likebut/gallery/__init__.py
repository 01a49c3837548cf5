"""Storage, indexing and search of a user's own images."""
