"""Placing images in the ranking of a gallery, chunk by chunk, so that memory does not grow with the gallery.

Similarity is the maximum over an image's N embeddings of their dot product with the query's. Products are summed in
float64 and rounded to float32: identical images then tie exactly, wherever in a chunk they lie and whatever the
chunks' sizes. Without that, a matrix product's last bit would break ties by an image's place in the gallery.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from likebut.retriever.base import similarity

Embeddings = npt.NDArray[np.float16] | npt.NDArray[np.float32] | Tensor

_QUERIES_AT_ONCE = 256
# Rows of embeddings (images × N) at once: 32,768 × 256 × 8 bytes = 64 MiB of gallery, and as much of products.
_ROWS_AT_ONCE = 32768


@dataclass(frozen=True, slots=True)
class QueryRank:
    """Where the images that one query asks about came out; images by their position in the gallery.

    Attributes:
        scores: The similarity of each image asked about.
        at_least: For each of them, how many candidates score at least as high, itself included.
        top: The best candidates, best first; tied ones in the gallery's order.
    """

    scores: dict[int, float] = field(default_factory=dict)
    at_least: dict[int, int] = field(default_factory=dict)
    top: list[int] = field(default_factory=list)


def rank_candidates(
    queries: Embeddings,
    gallery: Embeddings,
    named: Sequence[Sequence[int]],
    excluded: Sequence[Sequence[int]] = (),
    top: int = 0,
    queries_at_once: int = _QUERIES_AT_ONCE,
    rows_at_once: int = _ROWS_AT_ONCE,
    device: str = "cpu",
) -> list[QueryRank]:
    """Place images in each query's ranking of the gallery.

    Args:
        queries: Query embeddings (Q, E).
        gallery: Gallery embeddings (G, N, E) or (G, E), in memory or memory-mapped; read a chunk at a time.
        named: For each query, the gallery positions to place.
        excluded: For each query, the gallery positions that are no candidates; none if empty.
        top: How many of the best candidates to return.
        queries_at_once: Queries in a chunk; a matter of speed and memory alone.
        rows_at_once: Gallery embeddings (images × N) in a chunk; likewise.
        device: Where to compute.

    Returns:
        One query_rank a query.
    """
    scan = _Scan(queries, gallery, named, excluded or [()] * len(queries), top, device)
    images_at_once = max(1, rows_at_once // scan.embeddings_per_image)
    for first_image, chunk in _chunks(gallery, images_at_once, device):
        for first_query in range(0, len(queries), queries_at_once):
            scan.visit(first_query, first_query + queries_at_once, first_image, chunk)
    return scan.query_ranks()


def pessimistic_ranks(queries: Embeddings, gallery: Embeddings, targets: Sequence[int]) -> list[int]:
    """Return the rank of each query's target: 1, plus every other image that scores at least as high.

    Args:
        queries: Query embeddings (Q, E).
        gallery: Gallery embeddings (G, N, E) or (G, E).
        targets: The gallery position of each query's target.
    """
    query_ranks = rank_candidates(queries, gallery, [[target] for target in targets])
    return [query_rank.at_least[target] for query_rank, target in zip(query_ranks, targets, strict=True)]


def _chunks(gallery: Embeddings, images_at_once: int, device: str) -> Iterator[tuple[int, Tensor]]:
    for first in range(0, len(gallery), images_at_once):
        yield first, _images(gallery[first : first + images_at_once], device)


def _images(embeddings: Embeddings, device: str) -> Tensor:
    """Return a few images' embeddings (n, N, E) as float64; N is 1 for images with one embedding."""
    images = _as_float64(embeddings, device)
    return images.unsqueeze(1) if images.dim() == 2 else images


def _as_float64(embeddings: Embeddings, device: str) -> Tensor:
    """Return a few embeddings as float64."""
    if not isinstance(embeddings, Tensor):
        # A copy, because a memory-mapped file is read-only and torch wants memory that it may write.
        embeddings = torch.from_numpy(np.array(embeddings))
    return embeddings.to(device=device, dtype=torch.float64)


class _Scan:
    """The state of one pass over the gallery."""

    def __init__(
        self,
        queries: Embeddings,
        gallery: Embeddings,
        named: Sequence[Sequence[int]],
        excluded: Sequence[Sequence[int]],
        top: int,
        device: str,
    ) -> None:
        self.embeddings_per_image = int(gallery.shape[1]) if gallery.ndim == 3 else 1
        self._queries, self._device = queries, device
        self._pair_queries, self._pair_images = _pairs(named)
        self._excluded_queries, self._excluded_images = _pairs(excluded)
        self._pair_scores = self._score_pairs(gallery)
        self._at_least = np.zeros(len(self._pair_queries), dtype=np.int64)
        self._top = top
        self._best_scores = torch.full((len(queries), top), -torch.inf)
        self._best_images = torch.zeros((len(queries), top), dtype=torch.int64)

    def _score_pairs(self, gallery: Embeddings, pairs_at_once: int = 512) -> npt.NDArray[np.float32]:
        scores = np.empty(len(self._pair_queries), dtype=np.float32)
        for first in range(0, len(scores), pairs_at_once):
            part = slice(first, first + pairs_at_once)
            queries = _as_float64(self._queries[self._pair_queries[part]], self._device)
            products = (_images(gallery[self._pair_images[part]], self._device) @ queries.unsqueeze(-1)).squeeze(-1)
            scores[part] = products.amax(dim=-1).float().cpu().numpy()
        return scores

    def visit(self, first_query: int, last_query: int, first_image: int, images: Tensor) -> None:
        """Take a chunk of the gallery into account for a chunk of queries."""
        scores = similarity(_as_float64(self._queries[first_query:last_query], self._device), images).float()
        last_image = first_image + len(images)
        asked = _within(self._pair_queries, first_query, last_query)
        # The score of an image placed must be the one number it is compared by, here and in its own count.
        inside = asked & _within(self._pair_images, first_image, last_image)
        rows, columns = self._pair_queries[inside] - first_query, self._pair_images[inside] - first_image
        scores[self._index(rows), self._index(columns)] = self._on_device(self._pair_scores[inside])
        inside = _within(self._excluded_queries, first_query, last_query)
        inside &= _within(self._excluded_images, first_image, last_image)
        rows, columns = self._excluded_queries[inside] - first_query, self._excluded_images[inside] - first_image
        scores[self._index(rows), self._index(columns)] = -torch.inf
        bars = self._on_device(self._pair_scores[asked])
        # "Not lower" rather than "at least", so that a score that is not a number ranks last.
        at_least = ~(scores[self._index(self._pair_queries[asked] - first_query)] < bars.unsqueeze(1))
        self._at_least[asked] += at_least.sum(dim=1).cpu().numpy()
        if self._top:
            self._keep_best(slice(first_query, last_query), first_image, scores.cpu())

    def _index(self, positions: npt.NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(positions).to(self._device)

    def _on_device(self, scores: npt.NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(scores).to(self._device)

    def _keep_best(self, queries: slice, first_image: int, scores: Tensor) -> None:
        images = torch.arange(first_image, first_image + scores.shape[1]).expand_as(scores)
        merged_scores = torch.cat([self._best_scores[queries], scores], dim=1)
        merged_images = torch.cat([self._best_images[queries], images], dim=1)
        # A stable sort keeps tied images in the gallery's order, because earlier chunks come first.
        order = torch.sort(merged_scores, dim=1, descending=True, stable=True).indices[:, : self._top]
        self._best_scores[queries] = merged_scores.gather(1, order)
        self._best_images[queries] = merged_images.gather(1, order)

    def query_ranks(self) -> list[QueryRank]:
        """Return what was found, a query_rank a query."""
        found = [
            QueryRank(top=images[scores > -torch.inf].tolist())
            for images, scores in zip(self._best_images, self._best_scores, strict=True)
        ]
        for query, image, score, at_least in zip(
            self._pair_queries.tolist(),
            self._pair_images.tolist(),
            self._pair_scores.tolist(),
            self._at_least.tolist(),
            strict=True,
        ):
            found[query].scores[image] = score
            found[query].at_least[image] = at_least
        return found


def _pairs(positions: Sequence[Iterable[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    queries = [query for query, images in enumerate(positions) for _ in dict.fromkeys(images)]
    images = [image for images in positions for image in dict.fromkeys(images)]
    return np.array(queries, dtype=np.int64), np.array(images, dtype=np.int64)


def _within(values: npt.NDArray[np.int64], first: int, last: int) -> npt.NDArray[np.bool_]:
    return (values >= first) & (values < last)
