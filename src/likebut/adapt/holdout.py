"""A tenth of the images, held out by groups of near-duplicates, so that no photograph is measured on its own copy."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

NEAR_DUPLICATE = 0.97
"""Cosine of the frozen features from which two images count as near-duplicates."""
SHARE = 0.1
LEAST_IMAGES = 20
"""Fewer images with text than this leave nothing to measure on."""
_ROWS_AT_ONCE = 512
_MOST_NEIGHBOURS = 32


@dataclass(frozen=True, slots=True)
class Split:
    """The images to learn from and those held out, by name.

    Attributes:
        groups: How many groups of near-duplicates there are.
        largest: The images of the largest group.
    """

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    groups: int
    largest: int


def split_images(
    names: Sequence[str],
    vectors: Tensor,
    seed: int = 0,
    share: float = SHARE,
    contents: Sequence[str] | None = None,
) -> Split:
    """Return ``names`` split by groups of near-duplicates.

    Args:
        names: n images.
        vectors: (n, D), L2-l2_normalise, in the same order.
        seed: Of the choice of groups.
        share: Of the images to hold out.
        contents: What identifies each image's content; equal contents are one group.
    """
    groups = near_duplicate_groups(vectors, contents=contents)
    wanted = round(share * len(names))
    held: set[int] = set()
    order = list(range(len(groups)))
    Random(f"{seed}/holdout").shuffle(order)
    for index in order:
        # A group that is larger than what is left is skipped: one burst must not be all that is measured on.
        if len(held) + len(groups[index]) <= wanted:
            held.update(groups[index])
    return Split(
        train=tuple(name for row, name in enumerate(names) if row not in held),
        held_out=tuple(name for row, name in enumerate(names) if row in held),
        groups=len(groups),
        largest=max(map(len, groups), default=0),
    )


def near_duplicate_groups(
    vectors: Tensor, least_cosine: float = NEAR_DUPLICATE, contents: Sequence[str] | None = None
) -> list[list[int]]:
    """Return the rows of ``vectors`` (n, D) in groups, connected by cosines of at least ``least_cosine``.

    Of each row its 32 nearest are looked at, so that a thousand shots of one scene do not make a million pairs.
    """
    parent = list(range(len(vectors)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        cosines = vectors[start : start + _ROWS_AT_ONCE] @ vectors.T
        nearest = cosines.topk(min(_MOST_NEIGHBOURS, len(vectors)), dim=1)
        for first, place in torch.nonzero(nearest.values >= least_cosine).tolist():
            parent[root(int(nearest.indices[first, place]))] = root(start + first)
    first_with: dict[str, int] = {}
    for row, content in enumerate(contents or ()):
        parent[root(row)] = root(first_with.setdefault(content, row))
    members: dict[int, list[int]] = {}
    for row in range(len(vectors)):
        members.setdefault(root(row), []).append(row)
    return list(members.values())
