"""Own images in, a retriever that knows them out: ``likebut adapt``."""
