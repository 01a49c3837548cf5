"""The whole pipeline of the paper, once, on the sample data."""
