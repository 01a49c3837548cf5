"""The training loop, its tasks and checkpoints, and the retriever's and generator's training from data to model folder."""
