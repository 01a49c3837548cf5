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
    alike = _alike(candidates)
    members: dict[int, list[int]] = {}
    for position in range(len(candidates)):
        leader = next((earlier for earlier in members if alike[earlier, position]), None)
        if leader is None:
            members[position] = []
        else:
            members[leader].append(position)
    return [Group(leader, tuple(others)) for leader, others in members.items()]


def _alike(candidates: Sequence[Candidate]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Return which candidates show the same picture: (n, n)."""
    if not candidates:
        return np.zeros((0, 0), dtype=np.bool_)
    signatures = np.stack([np.frombuffer(each.image.signature, dtype=np.uint8) for each in candidates])
    points = signatures.astype(np.float32)
    squares = (points**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares[None] - 2 * points @ points.T, 0) / points.shape[1]
    alike: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = distances <= MAX_SIGNATURE_DISTANCE**2
    for first, second in np.argwhere(np.triu(alike, k=1)):
        cosines = normalised(candidates[first].embeddings) * normalised(candidates[second].embeddings)
        alike[first, second] = cosines.sum(axis=1).mean() >= MIN_COSINE
    return alike
