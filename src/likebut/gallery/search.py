"""Searching a store: candidates from its index, exact scores, grouping of near-duplicates, paging."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from likebut.gallery.filters import Condition
from likebut.gallery.requests import Hit
from likebut.gallery.similarity import Group, group_near_duplicates, score
from likebut.gallery.store import Candidate, GalleryStore, SearchEffort, Vector

# Extra candidates for near-duplicates and references, so that one query of the store is nearly always enough.
_SPARE = 10


@dataclass(frozen=True, slots=True)
class Page:
    """One page of hits, whether more follow, and the seconds spent in the store and in re-scoring."""

    hits: tuple[Hit, ...]
    more: bool
    search_seconds: float
    rescore_seconds: float


def search_page(
    store: GalleryStore,
    query: Vector,
    k: int,
    offset: int = 0,
    conditions: Sequence[Condition] = (),
    excluded: Collection[str] = (),
    group_duplicates: bool = True,
    exact: bool = False,
    effort: SearchEffort | None = None,
) -> Page:
    """Return one page of the images nearest to a query, best first; ties are ordered by id.

    Args:
        store: The store to search.
        query: (E,), not zero.
        k: Number of hits on the page.
        offset: Number of hits before the page.
        conditions: All must hold.
        excluded: Ids that are never hits.
        group_duplicates: Whether near-duplicates share one hit.
        exact: Whether to compare with every image.
        effort: Search effort of the store's index; the store's own if None.
    """
    needed = offset + k + 1  # the additional one tells whether there is a next page
    limit = needed + len(excluded) + (needed // 2 + _SPARE if group_duplicates else 0)
    search_seconds = rescore_seconds = 0.0
    while True:
        started = time.perf_counter()
        candidates = store.nearest(query, limit, conditions, effort, exact)
        if len(candidates) < limit and not exact and len(candidates) < store.count(conditions):
            # An index visits only some partitions, so too few candidates do not mean that there are no more.
            exact = True
            candidates = store.nearest(query, limit, conditions, effort, exact)
        searched = time.perf_counter()
        ranked, scores = _rank(query, [each for each in candidates if each.image.id not in excluded])
        groups = group_near_duplicates(ranked) if group_duplicates else [Group(i, ()) for i in range(len(ranked))]
        search_seconds += searched - started
        rescore_seconds += time.perf_counter() - searched
        if len(groups) >= needed or len(candidates) < limit:
            break
        limit *= 2
    hits = tuple(_hit(group, ranked, scores) for group in groups[offset : offset + k])
    return Page(hits, len(groups) > offset + k, search_seconds, rescore_seconds)


def _rank(query: Vector, candidates: list[Candidate]) -> tuple[list[Candidate], list[float]]:
    """Return candidates sorted by exact score, best first, and their scores."""
    if not candidates:
        return [], []
    scores = score(query, np.stack([candidate.embeddings for candidate in candidates])).tolist()
    order = sorted(range(len(candidates)), key=lambda position: (-scores[position], candidates[position].image.id))
    return [candidates[position] for position in order], [scores[position] for position in order]


def _hit(group: Group, ranked: Sequence[Candidate], scores: Sequence[float]) -> Hit:
    image = ranked[group.leader].image
    metadata = {name: value for name, value in image.values().items() if name != "path"}
    duplicates = tuple(ranked[position].image.id for position in group.others)
    return Hit(image.id, image.path, scores[group.leader], metadata, duplicates)
