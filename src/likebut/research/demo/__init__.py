"""The demo: the paper's whole pipeline on the sample data."""
