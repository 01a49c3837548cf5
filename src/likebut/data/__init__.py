"""Triplets and queries, image decoding, the data-folder format and its verifier, captions, sampling."""
