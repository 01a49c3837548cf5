"""A retriever that many threads share: what they ask at the same time is encoded together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from likebut.gallery.embedder import Embedder, Embeddings, ModelIdentity
from likebut.server.batching import Batcher
from likebut.server.metrics import Metrics

_MOST_QUERIES = 32
# Small, so that searches get their turn while many pictures are being added.
_MOST_IMAGES = 8


def leave_cores() -> int:
    """Let the calling thread compute alone from now on; return how many cores it leaves to another.

    Every thread that computes with PyTorch on several cores brings threads of its own. Once there are more of them
    than cores, OpenMP no longer lets them wait awake for each other, and a query of 60 ms takes 120. So the thread that
    loads the model calls this before, and the one that serves takes the cores.
    """
    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    return cores


class BatchedEmbedder:
    """Hands everything to one thread, which also keeps searches from fighting for the processor's cores.

    Args:
        embedder: Does the work.
        metrics: Told of queue and batches.
        cores: How many that thread takes; None leaves it at PyTorch's own number. See :func:`leave_cores`.
    """

    def __init__(self, embedder: Embedder, metrics: Metrics, cores: int | None = None) -> None:
        self._embedder = embedder
        self._cores_to_take = cores
        self._batcher: Batcher[tuple[Image.Image | None, str], Any] = Batcher(self._embed, _MOST_QUERIES, metrics)

    @property
    def identity(self) -> ModelIdentity:
        """What a gallery records."""
        return self._embedder.identity

    @property
    def query_tokens(self) -> int:
        """N, the embeddings of an image."""
        return self._embedder.query_tokens

    @property
    def embedding_size(self) -> int:
        """E, the width of an embedding."""
        return self._embedder.embedding_size

    @property
    def is_alive(self) -> bool:
        """Whether calls are answered."""
        return self._batcher.is_alive

    def embed_images(self, images: Sequence[Image.Image]) -> Embeddings:
        """Return (n, N, E) target embeddings of RGB images."""
        parts = [images[start : start + _MOST_IMAGES] for start in range(0, len(images), _MOST_IMAGES)]
        rows = [row for part in parts for row in self._batcher("images", [(image, "") for image in part])]
        return np.stack(rows)

    def embed_queries(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Embeddings:
        """Return (n, E) composed queries of reference images and their modification texts."""
        return np.stack(self._batcher("queries", list(zip(images, texts, strict=True))))

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return (n, E) queries from texts alone."""
        return np.stack(self._batcher("texts", [(None, text) for text in texts]))

    def close(self) -> None:
        """Answer what waits, then stop."""
        self._batcher.close()

    def _embed(self, kind: str, items: Sequence[tuple[Image.Image | None, str]]) -> list[Any]:
        if self._cores_to_take is not None:
            torch.set_num_threads(self._cores_to_take)  # of the calling thread, which is always the one worker
            self._cores_to_take = None
        images = [image for image, _ in items if image is not None]
        texts = [text for _, text in items]
        if kind == "images":
            return list(self._embedder.embed_images(images))
        if kind == "queries":
            return list(self._embedder.embed_queries(images, texts))
        return list(self._embedder.embed_texts(texts))
