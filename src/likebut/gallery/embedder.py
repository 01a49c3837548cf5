"""What a gallery asks of a retriever; :class:`likebut.Retriever` is one."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Embeddings = npt.NDArray[np.float32]


class ModelIdentity(Protocol):
    """What makes two sets of embeddings comparable."""

    @property
    def model(self) -> str:
        """Kind and preset."""

    @property
    def weights_sha256(self) -> str:
        """Of the trained weights."""

    @property
    def vision(self) -> str:
        """Name of the frozen vision encoder, with its weights' hash."""

    @property
    def preprocessing(self) -> str:
        """Fingerprint of the preprocessing."""


class Embedder(Protocol):
    """Embeds images and queries; every embedding has length 1. Must be safe to call from several threads."""

    @property
    def identity(self) -> ModelIdentity:
        """What a gallery records."""

    @property
    def query_tokens(self) -> int:
        """N, the embeddings of an image."""

    @property
    def embedding_size(self) -> int:
        """E, the width of an embedding."""

    def embed_images(self, images: Sequence[Image.Image]) -> Embeddings:
        """Return (n, N, E) target embeddings of images."""

    def embed_queries(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Embeddings:
        """Return (n, E) composed queries of reference images and their modification texts."""

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return (n, E) queries from texts alone."""
