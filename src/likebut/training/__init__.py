"""The training loop, tasks and checkpoints; training retrievers and generators."""
