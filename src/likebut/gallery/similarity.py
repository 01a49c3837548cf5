"""Exact similarity of a query with stored embeddings, and grouping of near-duplicate results."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from likebut.gallery.store import Candidate

# How these thresholds were chosen is described in docs/gallery.md.
MAX_SIGNATURE_DISTANCE = 8.0
MIN_COSINE = 0.9
# Up to this many candidates, all pairs are compared at once to find out that there are no near-duplicates.
_ALL_PAIRS = 256


def score(query: npt.NDArray[Any], target_embeddings: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return each image's similarity: the largest cosine between the query and its N target embeddings.

    Cosines rather than dot products, because float16 rounding leaves stored embeddings slightly off unit length.

    Args:
        query: (E,), not zero.
        target_embeddings: (G, N, E), float16 or float32.

    Returns:
        (G,) in [-1, 1].
    """
    targets = target_embeddings.astype(np.float32)
    lengths = np.maximum(np.linalg.norm(targets, axis=2), 1e-12)
    direction = l2_normalise(query)
    best: npt.NDArray[np.float32] = ((targets @ direction) / lengths).max(axis=1)
    return best


def l2_normalise(vector: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return a vector, or each row of a matrix, L2-normalised; zero vectors stay zero."""
    values = vector.astype(np.float32)
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    scaled: npt.NDArray[np.float32] = values / np.maximum(lengths, 1e-12)
    return scaled


@dataclass(frozen=True, slots=True)
class Group:
    """A result and its near-duplicates further down the ranking.

    Attributes:
        leader: Position of the best-ranked member.
        others: Positions of the other members, best first.
    """

    leader: int
    others: tuple[int, ...]


def group_near_duplicates(candidates: Sequence[Candidate]) -> list[Group]:
    """Return the candidates in groups, ordered by leader.

    A candidate joins the first leader above it that is a near-duplicate, and otherwise leads a group of its own. This
    depends only on the candidates above it, so fetching a further page never changes an earlier one.

    Args:
        candidates: Best first.
    """
    if not candidates:
        return []
    points = np.stack([np.frombuffer(each.image.signature, dtype=np.uint8) for each in candidates]).astype(np.float32)
    squares = (points.astype(np.float64) ** 2).sum(axis=1)
    # Signatures and squared norms of the leaders so far; a full distance matrix would be quadratic in memory.
    leading, leading_squares = np.empty_like(points), np.empty_like(squares)
    members: dict[int, list[int]] = {}
    leaders: list[int] = []
    if len(points) <= _ALL_PAIRS and not _any_near(points, squares):
        return [Group(position, ()) for position in range(len(points))]
    for position, point in enumerate(points):
        # Exact: a sum of 192 products of bytes stays below 2**24, where float32 represents every integer.
        count = len(leaders)
        products = (leading[:count] @ point).astype(np.float64)
        distances = (leading_squares[:count] + squares[position] - 2 * products) / len(point)
        near = [leaders[index] for index in np.flatnonzero(distances <= MAX_SIGNATURE_DISTANCE**2)]
        leader = next((each for each in near if _embeddings_agree(candidates[each], candidates[position])), None)
        if leader is None:
            leading[count], leading_squares[count] = point, squares[position]
            leaders.append(position)
            members[position] = []
        else:
            members[leader].append(position)
    return [Group(leader, tuple(others)) for leader, others in members.items()]


def _any_near(points: npt.NDArray[np.float32], squares: npt.NDArray[np.float64]) -> bool:
    """Return whether any two signatures are within the threshold, computed exactly."""
    products = (points @ points.T).astype(np.float64)
    distances = (squares[:, None] + squares - 2 * products) / points.shape[1]
    return int(np.count_nonzero(distances <= MAX_SIGNATURE_DISTANCE**2)) > len(points)  # each is near itself


def _embeddings_agree(first: Candidate, second: Candidate) -> bool:
    cosines = (l2_normalise(first.embeddings) * l2_normalise(second.embeddings)).sum(axis=1)
    return bool(cosines.mean() >= MIN_COSINE)
