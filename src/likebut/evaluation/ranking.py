"""Ranking a gallery in chunks, so that memory does not grow with the gallery.

The similarity of a query and an image is the maximum over the image's N embeddings of the dot product. Products are
summed in float64 and rounded to float32, so that identical images tie exactly, whatever the chunk sizes and wherever in
a chunk they are. Without that, the last bit of a matrix product would break ties by position in the gallery.

Ranks are pessimistic: a tie counts against the model. Sorting, as libraries rank, breaks ties by position and rewards a
model that maps every image to one point.
"""

from collections.abc import Iterable, Sequence
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
_COMPARISONS_AT_ONCE = 1 << 24


@dataclass(frozen=True, slots=True)
class QueryRank:
    """The scores and ranks of one query's images, by their position in the gallery.

    Attributes:
        scores: The similarity of each image that was to be ranked.
        at_least: Its pessimistic rank: the number of candidates that score at least as high, itself included.
        above: The number of candidates that score higher; empty unless it was to be counted.
        top: The best candidates, best first; ties in gallery order.
    """

    scores: dict[int, float] = field(default_factory=dict)
    at_least: dict[int, int] = field(default_factory=dict)
    above: dict[int, int] = field(default_factory=dict)
    top: list[int] = field(default_factory=list)

    def at_positions(self, positions: Sequence[int]) -> "QueryRank":
        """Return the same ranks, keyed by ``positions[i]`` instead of i: from some rows of a gallery to the gallery."""
        return QueryRank(
            {positions[image]: score for image, score in self.scores.items()},
            {positions[image]: count for image, count in self.at_least.items()},
            {positions[image]: count for image, count in self.above.items()},
            [positions[image] for image in self.top],
        )


class GalleryRows:
    """Some rows of a gallery as a gallery of its own, so that a query ranks its own candidates without a copy of them.

    Args:
        gallery: Embeddings (G, N, E) or (G, E).
        rows: Positions in ``gallery``; ascending ones read a memory-mapped file in order.
    """

    def __init__(self, gallery: Embeddings, rows: npt.NDArray[np.int64]) -> None:
        self._gallery, self._rows = gallery, rows
        self.shape, self.ndim = (len(rows), *gallery.shape[1:]), gallery.ndim

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def __getitem__(self, positions: slice | npt.NDArray[np.int64]) -> Embeddings:
        """Return the rows at positions of this gallery."""
        return self._gallery[self._rows[positions]]


def rank_candidates(
    queries: Embeddings,
    gallery: Embeddings | GalleryRows,
    positions: Sequence[Sequence[int]],
    excluded: Sequence[Sequence[int]] = (),
    top: int = 0,
    queries_at_once: int = _QUERIES_AT_ONCE,
    rows_at_once: int = _ROWS_AT_ONCE,
    device: str = "cpu",
    count_above: bool = False,
) -> list[QueryRank]:
    """Rank images in each query's ranking of the gallery.

    Args:
        queries: Query embeddings (Q, E).
        gallery: Gallery embeddings (G, N, E) or (G, E), in memory, memory-mapped, or some rows of it; read in chunks.
        positions: For each query, the gallery positions of the images to rank.
        excluded: For each query, the gallery positions that are not candidates; none if empty.
        top: Number of best candidates to return.
        queries_at_once: Queries in a chunk; affects speed and memory only.
        rows_at_once: Gallery embeddings (images × N) in a chunk; affects speed and memory only.
        device: Where to compute.
        count_above: Whether to count the candidates that score higher, too: the rank if ties do not count.

    Returns:
        One :class:`QueryRank` for each query.
    """
    ranking = _RankingPass(queries, gallery, positions, excluded or [()] * len(queries), top, device, count_above)
    images_at_once = max(1, rows_at_once // ranking.embeddings_per_image)
    for first_image in range(0, len(gallery), images_at_once):
        chunk = _images_as_float64(gallery[first_image : first_image + images_at_once], device)
        for first_query in range(0, len(queries), queries_at_once):
            ranking.update(first_query, first_query + queries_at_once, first_image, chunk)
    return ranking.query_ranks()


def pessimistic_ranks(queries: Embeddings, gallery: Embeddings, targets: Sequence[int]) -> list[int]:
    """Return the pessimistic rank of each query's target: 1 + the number of other images that score at least as high.

    Args:
        queries: Query embeddings (Q, E).
        gallery: Gallery embeddings (G, N, E) or (G, E).
        targets: The gallery position of each query's target.
    """
    query_ranks = rank_candidates(queries, gallery, [[target] for target in targets])
    return [query_rank.at_least[target] for query_rank, target in zip(query_ranks, targets, strict=True)]


def _images_as_float64(embeddings: Embeddings, device: str) -> Tensor:
    """Return image embeddings as float64 of shape (n, N, E); N is 1 for images with one embedding."""
    images = _as_float64(embeddings, device)
    return images.unsqueeze(1) if images.dim() == 2 else images


def _as_float64(embeddings: Embeddings, device: str) -> Tensor:
    if not isinstance(embeddings, Tensor):
        # A copy, because a memory-mapped file is read-only and torch warns about memory that it cannot write.
        embeddings = torch.from_numpy(np.array(embeddings))
    return embeddings.to(device=device, dtype=torch.float64)


class _RankingPass:
    """The state of one pass over the gallery.

    "Pairs" are the (query, image) pairs to rank, flattened over all queries.
    """

    def __init__(
        self,
        queries: Embeddings,
        gallery: Embeddings | GalleryRows,
        positions: Sequence[Sequence[int]],
        excluded: Sequence[Sequence[int]],
        top: int,
        device: str,
        count_above: bool,
    ) -> None:
        self.embeddings_per_image = int(gallery.shape[1]) if gallery.ndim == 3 else 1
        self._queries, self._device = queries, device
        self._pair_queries, self._pair_images = _pairs(positions)
        self._excluded_queries, self._excluded_images = _pairs(excluded)
        self._pair_scores = self._score_pairs(gallery)
        self._at_least = np.zeros(len(self._pair_queries), dtype=np.int64)
        self._above = np.zeros(len(self._pair_queries), dtype=np.int64) if count_above else None
        self._top = top
        self._best_scores = torch.full((len(queries), top), -torch.inf)
        self._best_images = torch.zeros((len(queries), top), dtype=torch.int64)

    def update(self, first_query: int, last_query: int, first_image: int, images: Tensor) -> None:
        """Count a chunk of the gallery for a chunk of queries.

        Args:
            first_query: The chunk's first query.
            last_query: The query after its last; may exceed the number of queries.
            first_image: The gallery position of the chunk's first image.
            images: Embeddings (n, N, E), float64.
        """
        scores = similarity(_as_float64(self._queries[first_query:last_query], self._device), images).float()
        last_image = first_image + len(images)
        in_chunk = _within(self._pair_queries, first_query, last_query)
        # An image must be compared by one and the same score here and in its own count.
        inside = in_chunk & _within(self._pair_images, first_image, last_image)
        rows, columns = self._pair_queries[inside] - first_query, self._pair_images[inside] - first_image
        scores[self._index(rows), self._index(columns)] = self._on_device(self._pair_scores[inside])
        inside = _within(self._excluded_queries, first_query, last_query)
        inside &= _within(self._excluded_images, first_image, last_image)
        rows, columns = self._excluded_queries[inside] - first_query, self._excluded_images[inside] - first_image
        scores[self._index(rows), self._index(columns)] = -torch.inf
        # In parts, so that memory does not grow with the number of images to rank in each query.
        pairs, pairs_at_once = np.flatnonzero(in_chunk), max(1, _COMPARISONS_AT_ONCE // len(images))
        for first in range(0, len(pairs), pairs_at_once):
            part = pairs[first : first + pairs_at_once]
            rows_of_pairs = scores[self._index(self._pair_queries[part] - first_query)]
            thresholds = self._on_device(self._pair_scores[part]).unsqueeze(1)
            # "Not lower" instead of "at least", so that an image whose score is NaN ranks last.
            self._at_least[part] += (~(rows_of_pairs < thresholds)).sum(dim=1).cpu().numpy()
            if self._above is not None:
                self._above[part] += (rows_of_pairs > thresholds).sum(dim=1).cpu().numpy()
        if self._top:
            self._keep_best(slice(first_query, last_query), first_image, scores.cpu())

    def query_ranks(self) -> list[QueryRank]:
        """Return the result of the pass, one entry for each query."""
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
        if self._above is not None:
            above = self._above.tolist()
            for query, image, count in zip(self._pair_queries.tolist(), self._pair_images.tolist(), above, strict=True):
                found[query].above[image] = count
        return found

    def _score_pairs(self, gallery: Embeddings | GalleryRows, pairs_at_once: int = 512) -> npt.NDArray[np.float32]:
        scores = np.empty(len(self._pair_queries), dtype=np.float32)
        for first in range(0, len(scores), pairs_at_once):
            part = slice(first, first + pairs_at_once)
            queries = _as_float64(self._queries[self._pair_queries[part]], self._device)
            images = _images_as_float64(gallery[self._pair_images[part]], self._device)
            products = (images @ queries.unsqueeze(-1)).squeeze(-1)
            scores[part] = products.amax(dim=-1).float().cpu().numpy()
        return scores

    def _index(self, positions: npt.NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(positions).to(self._device)

    def _on_device(self, scores: npt.NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(scores).to(self._device)

    def _keep_best(self, queries: slice, first_image: int, scores: Tensor) -> None:
        images = torch.arange(first_image, first_image + scores.shape[1]).expand_as(scores)
        merged_scores = torch.cat([self._best_scores[queries], scores], dim=1)
        merged_images = torch.cat([self._best_images[queries], images], dim=1)
        # A stable sort keeps ties in gallery order, because earlier chunks come first.
        order = torch.sort(merged_scores, dim=1, descending=True, stable=True).indices[:, : self._top]
        self._best_scores[queries] = merged_scores.gather(1, order)
        self._best_images[queries] = merged_images.gather(1, order)


def _pairs(positions: Sequence[Iterable[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return query indices and gallery positions of shape (P,), duplicates within a query removed."""
    queries = [query for query, images in enumerate(positions) for _ in dict.fromkeys(images)]
    images = [image for images in positions for image in dict.fromkeys(images)]
    return np.array(queries, dtype=np.int64), np.array(images, dtype=np.int64)


def _within(values: npt.NDArray[np.int64], first: int, last: int) -> npt.NDArray[np.bool_]:
    return (values >= first) & (values < last)
