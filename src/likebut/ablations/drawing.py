"""Taking a part of some triplets by lot, pair by pair."""

from collections.abc import Sequence
from random import Random

from likebut.triplets import Triplet


def draw_share(triplets: Sequence[Triplet], share: float, seed: int) -> list[Triplet]:
    """Return the triplets of a share of the image pairs, in their order.

    Both directions of a pair go together, since each knows the other's text as its reverse. With one seed, what a
    smaller share draws is part of what a larger one draws.

    Args:
        triplets: What to draw from.
        share: From 0 to 1; at least one pair is drawn.
        seed: Of the lot.
    """
    pairs = sorted({pair_of(triplet) for triplet in triplets})
    count = max(1, round(share * len(pairs)))
    chosen = set(Random(seed).sample(pairs, len(pairs))[:count])
    return [triplet for triplet in triplets if pair_of(triplet) in chosen]


def pair_of(triplet: Triplet) -> tuple[str, str]:
    """Return the names of the two images, the same for both directions."""
    first, second = sorted((triplet.reference, triplet.target))
    return first, second
