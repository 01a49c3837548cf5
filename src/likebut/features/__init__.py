"""Vision tokens of the frozen encoder: encoded once, read memory-mapped."""
