"""Grounding of modification texts about clothing: precision and recall of their type, colour and pattern claims."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from likebut.research.clothing.attributes import NONE
from likebut.research.clothing.claims import Claim, colours_of, new_claims

ATTRIBUTES = ("type", "colour", "pattern")
_NOT_NAMEABLE = ("other", NONE)


@dataclass(frozen=True)
class ClothingGrounding:
    """Counts over pairs of photographs, and the metrics that follow.

    Attributes:
        supported: Number of claims that the target supports.
        claimed: Number of claims.
        named: Number of true changes that some claim names.
        true: Number of true changes.
    """

    supported: int
    claimed: int
    named: int
    true: int

    @property
    def precision(self) -> float:
        """The fraction of claims that the target supports; 0 if nothing is claimed."""
        return self.supported / self.claimed if self.claimed else 0.0

    @property
    def recall(self) -> float:
        """The fraction of true changes that are named; 0 if nothing changes."""
        return self.named / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def true_changes(reference: Mapping[str, str], target: Mapping[str, str]) -> dict[str, str]:
    """Return type, dominant colour and pattern of the target, where they differ from the reference's."""
    return {
        name: target[name]
        for name in ATTRIBUTES
        if target[name] != reference[name] and target[name] not in _NOT_NAMEABLE
    }


def is_supported(claim: Claim, target: Mapping[str, str]) -> bool:
    """Return whether the target supports a claim: with its type, its pattern or any of its colours."""
    shown = colours_of(target) if claim.attribute == "colour" else {target[claim.attribute]}
    return bool(claim.values & shown)


def measure_clothing_grounding(
    rows: Iterable[tuple[Mapping[str, str], Mapping[str, str], str]],
    attributes: tuple[str, ...] = ATTRIBUTES,
) -> ClothingGrounding:
    """Return precision, recall and F1 over ``(reference, target, text)`` rows, micro-averaged.

    Args:
        rows: Attribute → value of the reference and of the target (as in ``attributes.jsonl``), and the text.
        attributes: The attributes that count.
    """
    supported = claimed = named = true = 0
    for reference, target, text in rows:
        claims = {claim for claim in new_claims(text, reference) if claim.attribute in attributes}
        changes = {name: value for name, value in true_changes(reference, target).items() if name in attributes}
        supported += sum(is_supported(claim, target) for claim in claims)
        claimed += len(claims)
        named += sum(
            any(claim.attribute == name and value in claim.values for claim in claims)
            for name, value in changes.items()
        )
        true += len(changes)
    return ClothingGrounding(supported, claimed, named, true)


def count_claims(reference: Mapping[str, str], target: Mapping[str, str], text: str) -> tuple[int, int]:
    """Return the number of supported claims of one text, and of all its claims."""
    claims = new_claims(text, reference)
    return sum(is_supported(claim, target) for claim in claims), len(claims)
