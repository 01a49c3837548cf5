"""Training recipes that ship with the package, and their schema."""
