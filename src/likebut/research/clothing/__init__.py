"""Photographs of clothing: annotations, the benchmark, and data folders made from them."""
