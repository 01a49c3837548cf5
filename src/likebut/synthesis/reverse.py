"""Reverse modification texts for human triplets that lack them, as CIRR's do."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from likebut.synthesis.filters import KEPT
from likebut.synthesis.pairs import MinedPair
from likebut.synthesis.shards import REVERSE_JOB, read_shards
from likebut.triplets import Triplet


def reverse_pairs(triplets: Sequence[Triplet]) -> list[MinedPair]:
    """Return what is to be written about: from target to reference, for each triplet without a reverse text."""
    lacking = ((triplet.target, triplet.reference) for triplet in triplets if not triplet.reverse_modification)
    return [MinedPair(reference, target) for reference, target in dict.fromkeys(lacking)]


def read_reverse_texts(folder: Path) -> dict[tuple[str, str], str]:
    """Return the reverse texts that were kept, by the human triplet's (reference, target).

    Raises:
        InputError: The folder holds no finished run over human triplets.
    """
    rows = read_shards(folder, REVERSE_JOB)
    return {(row.target, row.reference): row.modification for row in rows if row.status == KEPT}


def fill_reverse_texts(triplets: Sequence[Triplet], texts: dict[tuple[str, str], str]) -> list[Triplet]:
    """Return the triplets, those that lack a reverse text with what ``texts`` has for them, if it has."""
    return [
        replace(
            triplet,
            reverse_modification=triplet.reverse_modification or texts.get((triplet.reference, triplet.target)),
        )
        for triplet in triplets
    ]


def with_reverse_texts(
    triplets: Sequence[Triplet], texts: dict[tuple[str, str], str]
) -> tuple[list[Triplet], list[Triplet]]:
    """Return the triplets that have a reverse text, of their own or in ``texts``, and those that have none."""
    filled = fill_reverse_texts(triplets, texts)
    return [each for each in filled if each.reverse_modification], [
        triplet for triplet, each in zip(triplets, filled, strict=True) if not each.reverse_modification
    ]
