"""Searching a store: candidates from its index, scored exactly, near-duplicates grouped, one page cut out."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from likebut.gallery.filters import Condition
from likebut.gallery.images import Group, group_near_duplicates
from likebut.gallery.requests import Hit
from likebut.gallery.scoring import score
from likebut.gallery.store import Candidate, GalleryStore, SearchEffort, Vector

# Room for duplicates and references among the candidates, so that one look at the store is nearly always enough.
_SPARE = 10


@dataclass(frozen=True, slots=True)
class Page:
    """Hits ``offset … offset + k``, whether more follow, and the seconds that store and re-scoring took."""

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
    left_out: Collection[str] = (),
    group_duplicates: bool = True,
    exact: bool = False,
    effort: SearchEffort | None = None,
) -> Page:
    """Return one page of the images nearest to a query (E,), best first; equal scores in the order of ids.

    Args:
        store: What is searched.
        query: Of any length but zero.
        k: Hits of a page.
        offset: Hits before it.
        conditions: All must hold.
        left_out: Ids that must not be hits.
        group_duplicates: Whether pictures that look the same share one hit.
        exact: Compare with every image.
        effort: How hard the store's index looks; what the store keeps if none.
    """
    wanted = offset + k + 1  # one more than is shown tells whether there is a next page
    limit = wanted + len(left_out) + (wanted // 2 + _SPARE if group_duplicates else 0)
    search_seconds = rescore_seconds = 0.0
    while True:
        started = time.perf_counter()
        candidates = store.nearest(query, limit, conditions, effort, exact)
        if len(candidates) < limit and not exact and len(candidates) < store.count(conditions):
            # An index visits some clusters only: that it found no more does not mean that there are no more.
            exact = True
            candidates = store.nearest(query, limit, conditions, effort, exact)
        searched = time.perf_counter()
        ranked, scores = _ranked(query, [each for each in candidates if each.image.id not in left_out])
        groups = group_near_duplicates(ranked) if group_duplicates else [Group(i, ()) for i in range(len(ranked))]
        search_seconds += searched - started
        rescore_seconds += time.perf_counter() - searched
        if len(groups) >= wanted or len(candidates) < limit:
            break
        limit *= 2
    hits = tuple(_hit(group, ranked, scores) for group in groups[offset : offset + k])
    return Page(hits, len(groups) > offset + k, search_seconds, rescore_seconds)


def _ranked(query: Vector, candidates: list[Candidate]) -> tuple[list[Candidate], list[float]]:
    """Return candidates by their exact scores, best first, and the scores."""
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
