"""Near-duplicates among search results: the same picture saved twice, at another size or quality.

Two pictures count as one if their 8×8 miniatures *and* their target embeddings nearly agree. The miniature alone
takes two black shirts on one bed for the same picture; the embeddings alone take two prints of one cut for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from likebut.gallery.scoring import normalised
from likebut.gallery.store import Candidate

# How they were chosen is in docs/gallery.md.
MAX_SIGNATURE_DISTANCE = 8.0
MIN_COSINE = 0.9


@dataclass(frozen=True, slots=True)
class Group:
    """A result with those below it that show the same picture.

    Attributes:
        leader: Position of the best of them.
        others: Positions of the rest, best first.
    """

    leader: int
    others: tuple[int, ...]


def group_near_duplicates(candidates: Sequence[Candidate]) -> list[Group]:
    """Return the candidates in groups, in the order of their leaders.

    Whether a candidate leads depends on those above it alone, so that further pages do not change earlier ones.

    Args:
        candidates: Best first.
    """
    if not candidates:
        return []
    points = np.stack([np.frombuffer(each.image.signature, dtype=np.uint8) for each in candidates]).astype(np.float32)
    squares = (points.astype(np.float64) ** 2).sum(axis=1)
    # The leaders' miniatures and squares, in the order of their ranks.
    leading, leading_squares = np.empty_like(points), np.empty_like(squares)
    members: dict[int, list[int]] = {}
    leaders: list[int] = []
    for position, point in enumerate(points):
        # Exact: 192 products of bytes stay below 2²⁴, up to which float32 holds every whole number.
        count = len(leaders)
        products = (leading[:count] @ point).astype(np.float64)
        distances = (leading_squares[:count] + squares[position] - 2 * products) / len(point)
        near = np.flatnonzero(distances <= MAX_SIGNATURE_DISTANCE**2)
        leader = next((leaders[i] for i in near if _agree(candidates[leaders[i]], candidates[position])), None)
        if leader is None:
            leading[count], leading_squares[count] = point, squares[position]
            leaders.append(position)
            members[position] = []
        else:
            members[leader].append(position)
    return [Group(leader, tuple(others)) for leader, others in members.items()]


def _agree(first: Candidate, second: Candidate) -> bool:
    """Return whether two pictures' target embeddings, (N, E) each, nearly agree."""
    cosines = (normalised(first.embeddings) * normalised(second.embeddings)).sum(axis=1)
    return bool(cosines.mean() >= MIN_COSINE)
