"""Nearest neighbours inside a window of similarity, in memory that does not grow with the square of the images."""

from dataclasses import dataclass

import torch
from torch import Tensor

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
