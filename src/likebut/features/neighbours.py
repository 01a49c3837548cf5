"""Nearest neighbours of images by one vector per image.

Shapes: n images, T image tokens, W image-token width, N query tokens, E embedding width.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

from likebut.features.token_source import TokenSource

_BATCH = 64
_SIMILARITIES_AT_ONCE = 1 << 24  # 64 MB of float32


class TargetEmbedder(Protocol):
    """The interface of a retriever that :func:`retriever_vectors` uses."""

    def embed_image_tokens(self, image_tokens: Tensor) -> Tensor:
        """Return (n, N, E) target embeddings of image tokens (n, T, W)."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The neighbours of n images, nearest first.

    Attributes:
        indices: (n, k) int64; -1 where an image has fewer than k neighbours.
        similarities: (n, k) float32; -inf where ``indices`` is -1.
    """

    indices: Tensor
    similarities: Tensor

    def of(self, image: int, count: int | None = None) -> list[tuple[int, float]]:
        """Return (index, similarity) of an image's neighbours, at most ``count``."""
        indices, similarities = self.indices[image, :count], self.similarities[image, :count]
        found = zip(indices.tolist(), similarities.tolist(), strict=True)
        return [(index, similarity) for index, similarity in found if index >= 0]


def frozen_vectors(source: TokenSource, names: Sequence[str]) -> Tensor:
    """Return L2-normalised vectors (n, W): the mean of each image's vision tokens."""
    return _vectors(source, names, lambda tokens: tokens.float().mean(dim=1))


def retriever_vectors(source: TokenSource, names: Sequence[str], retriever: TargetEmbedder) -> Tensor:
    """Return L2-normalised vectors (n, E): the mean of each image's N target embeddings.

    Neighbours by these vectors are images that the retriever may confuse.
    """
    return _vectors(source, names, lambda tokens: retriever.embed_image_tokens(tokens).float().mean(dim=1).cpu())


def nearest_in_window(vectors: Tensor, count: int, lowest: float, highest: float) -> Neighbours:
    """Return for each image the ``count`` nearest others with similarity in ``lowest``…``highest``.

    Args:
        vectors: L2-normalised, (n, D).
        count: k.
        lowest: Smallest cosine similarity.
        highest: Largest cosine similarity; above it are near-duplicates.
    """
    images = len(vectors)
    count = min(count, max(images - 1, 0))
    indices = torch.full((images, count), -1, dtype=torch.int64)
    similarities = torch.full((images, count), -torch.inf)
    rows = max(1, _SIMILARITIES_AT_ONCE // max(images, 1))
    for start in range(0, images, rows) if count else ():
        chunk = vectors[start : start + rows] @ vectors.T
        chunk[torch.arange(len(chunk)), torch.arange(start, start + len(chunk))] = -torch.inf
        chunk.masked_fill_((chunk < lowest) | (chunk > highest), -torch.inf)
        best = chunk.topk(count, dim=1)
        similarities[start : start + rows] = best.values
        indices[start : start + rows] = best.indices.masked_fill(best.values == -torch.inf, -1)
    return Neighbours(indices, similarities)


def _vectors(source: TokenSource, names: Sequence[str], pool: Callable[[Tensor], Tensor]) -> Tensor:
    parts = [normalize(pool(source.tokens(batch)), dim=1) for batch in _in_batches(names)]
    return torch.cat(parts) if parts else torch.empty(0, 0)


def _in_batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]
