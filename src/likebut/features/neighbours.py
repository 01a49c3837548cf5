"""One vector for each image, by which neighbours are found.

Shapes: n images, T image tokens, W their width, N query tokens, E embedding width.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

from likebut.features.token_source import TokenSource

_BATCH = 64


class TargetEmbedder(Protocol):
    """What is asked of a retriever here."""

    def embed_image_tokens(self, image_tokens: Tensor) -> Tensor:
        """Return (n, N, E) target embeddings of image tokens (n, T, W)."""


def frozen_vectors(source: TokenSource, names: Sequence[str]) -> Tensor:
    """Return (n, W) vectors of length 1: the mean of each image's vision tokens."""
    return _vectors(source, names, lambda tokens: tokens.float().mean(dim=1))


def retriever_vectors(source: TokenSource, names: Sequence[str], retriever: TargetEmbedder) -> Tensor:
    """Return (n, E) vectors of length 1: the mean of each image's N target embeddings.

    Images that are neighbours here are those that the retriever may confuse.
    """
    return _vectors(source, names, lambda tokens: retriever.embed_image_tokens(tokens).float().mean(dim=1).cpu())


def _vectors(source: TokenSource, names: Sequence[str], pool: Callable[[Tensor], Tensor]) -> Tensor:
    parts = [normalize(pool(source.tokens(batch)), dim=1) for batch in _in_batches(names)]
    return torch.cat(parts) if parts else torch.empty(0, 0)


def _in_batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]


# Similarities held at once: 64 MB of float32.
_SIMILARITIES_AT_ONCE = 1 << 24


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The neighbours of n images, the nearest first.

    Attributes:
        indices: (n, k) int64; -1 where an image has fewer than k neighbours.
        similarities: (n, k) float32; -inf there.
    """

    indices: Tensor
    similarities: Tensor

    def of(self, image: int, count: int | None = None) -> list[tuple[int, float]]:
        """Return the (index, similarity) of an image's neighbours, at most ``count`` of them."""
        indices, similarities = self.indices[image, :count], self.similarities[image, :count]
        found = zip(indices.tolist(), similarities.tolist(), strict=True)
        return [(index, similarity) for index, similarity in found if index >= 0]


def nearest_in_window(vectors: Tensor, count: int, lowest: float, highest: float) -> Neighbours:
    """Return for each image the ``count`` nearest others whose similarity is in ``lowest``…``highest``.

    Args:
        vectors: (n, D), of length 1.
        count: k.
        lowest: Least cosine similarity.
        highest: Greatest; above it lie near-duplicates.
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
