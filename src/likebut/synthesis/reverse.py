"""Reverse modification texts for human triplets that lack them, as CIRR's do."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from likebut.files import read_json
from likebut.synthesis.filters import KEPT
from likebut.synthesis.pairs import MinedPair
from likebut.synthesis.shards import REVERSE_JOB, SUMMARY_NAME, read_shards
from likebut.triplets import Triplet


def reverse_pairs(triplets: Sequence[Triplet]) -> list[MinedPair]:
    """Return what is to be written about: from target to reference, for each triplet without a reverse text."""
    lacking = ((triplet.target, triplet.reference) for triplet in triplets if not triplet.reverse_modification)
    return [MinedPair(reference, target) for reference, target in dict.fromkeys(lacking)]


@dataclass(frozen=True)
class ReverseTexts:
    """What a finished run over human triplets came to; pairs are the triplets' (reference, target).

    Attributes:
        kept: The texts that the filters kept, by pair.
        asked: Every pair that was written about.
        set_aside: Names of the images that could not be used; their pairs were not written about.
    """

    kept: Mapping[tuple[str, str], str]
    asked: Set[tuple[str, str]]
    set_aside: Set[str]

    def were_about(self, triplet: Triplet) -> bool:
        """Return whether the run was to write about ``triplet``, whatever came of it."""
        named = {triplet.reference, triplet.target}
        return (triplet.reference, triplet.target) in self.asked or not named.isdisjoint(self.set_aside)


def read_reverse_texts(folder: Path) -> ReverseTexts:
    """Return the reverse texts in a run's folder.

    Raises:
        InputError: The folder holds no finished run over human triplets.
    """
    rows = {(row.target, row.reference): row for row in read_shards(folder, REVERSE_JOB)}
    kept = {pair: row.modification for pair, row in rows.items() if row.status == KEPT}
    set_aside = {image["image"] for image in read_json(folder / SUMMARY_NAME)["set_aside"]}
    return ReverseTexts(kept, rows.keys(), set_aside)


def fill_reverse_texts(triplets: Sequence[Triplet], texts: ReverseTexts) -> list[Triplet]:
    """Return the triplets, those that lack a reverse text with what ``texts`` has for them, if it has."""
    return [
        replace(
            triplet,
            reverse_modification=triplet.reverse_modification or texts.kept.get((triplet.reference, triplet.target)),
        )
        for triplet in triplets
    ]


def with_reverse_texts(triplets: Sequence[Triplet], texts: ReverseTexts) -> tuple[list[Triplet], list[Triplet]]:
    """Return the triplets that have a reverse text, of their own or in ``texts``, and those that have none."""
    filled = fill_reverse_texts(triplets, texts)
    return [each for each in filled if each.reverse_modification], [
        triplet for triplet, each in zip(triplets, filled, strict=True) if not each.reverse_modification
    ]
