"""Who reads written texts: what a text claims and what is true depend on what the images show."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from likebut.clothing.claims import new_claims
from likebut.clothing.grounding import is_supported, measure_clothing_grounding, true_changes
from likebut.sample_data.attributes import changes_between
from likebut.sample_data.grounding import measure_grounding
from likebut.sample_data.parser import claimed_changes

Values = Mapping[str, str]
"""Attribute → value of one image, as in ``attributes.jsonl``."""
_OF_PHOTOGRAPHS = {"type", "colour", "pattern"}


class Figures(Protocol):
    """Shares from 0 to 1."""

    @property
    def precision(self) -> float:
        """The share of claims that are true."""

    @property
    def recall(self) -> float:
        """The share of changes that are claimed."""

    @property
    def f1(self) -> float:
        """Their harmonic mean."""


@dataclass(frozen=True)
class Reader:
    """Reads texts about one kind of image.

    Attributes:
        measure: Figures over ``(reference, target, text)`` rows.
        changes: What truly changes from reference to target.
        counts: For reference, target and text, how many claims are right, and how many there are.
    """

    measure: Callable[[Iterable[tuple[Values, Values, str]]], Figures]
    changes: Callable[[Values, Values], Mapping[str, str]]
    counts: Callable[[Values, Values, str], tuple[int, int]]


def reader_of(attributes: Iterable[Values]) -> Reader:
    """Return who reads texts about images with these attributes: photographs of clothing, or the sample's drawings."""
    return PHOTOGRAPHS if all(values.keys() >= _OF_PHOTOGRAPHS for values in attributes) else DRAWINGS


def _count_of_drawings(reference: Values, target: Values, text: str) -> tuple[int, int]:
    claims = claimed_changes(text, reference)
    return len(claims & set(changes_between(reference, target).items())), len(claims)


def _count_of_photographs(reference: Values, target: Values, text: str) -> tuple[int, int]:
    claims = new_claims(text, reference)
    return sum(is_supported(claim, target) for claim in claims), len(claims)


DRAWINGS = Reader(measure_grounding, changes_between, _count_of_drawings)
PHOTOGRAPHS = Reader(measure_clothing_grounding, true_changes, _count_of_photographs)
