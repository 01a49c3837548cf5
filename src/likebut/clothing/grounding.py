"""How far texts about photographs are true: their colour, type and pattern words against the attributes' differences.

The definition is written out in ``docs/clothing.md``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from likebut.clothing.attributes import NONE
from likebut.clothing.claims import Claim, colours_of, new_claims

ATTRIBUTES = ("type", "colour", "pattern")
_CANNOT_BE_NAMED = ("other", NONE)


@dataclass(frozen=True)
class ClothingGrounding:
    """Counts over many pairs of photographs, and what follows from them.

    Attributes:
        supported: Claims that the target bears out.
        claimed: Claims.
        named: Changes that some claim names.
        true: Changes.
    """

    supported: int
    claimed: int
    named: int
    true: int

    @property
    def precision(self) -> float:
        """The share of claims that the target bears out; 0 where nothing is claimed."""
        return self.supported / self.claimed if self.claimed else 0.0

    @property
    def recall(self) -> float:
        """The share of changes that are named; 0 where nothing changes."""
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
        if target[name] != reference[name] and target[name] not in _CANNOT_BE_NAMED
    }


def is_supported(claim: Claim, target: Mapping[str, str]) -> bool:
    """Return whether the target shows what is claimed: any of its colours will do, its type and its pattern."""
    shown = colours_of(target) if claim.attribute == "colour" else {target[claim.attribute]}
    return bool(claim.values & shown)


def measure_clothing_grounding(
    rows: Iterable[tuple[Mapping[str, str], Mapping[str, str], str]],
    attributes: tuple[str, ...] = ATTRIBUTES,
) -> ClothingGrounding:
    """Return precision, recall and F1 over ``(reference, target, text)`` rows, micro-averaged.

    Args:
        rows: Attribute → value of the reference and of the target, as in ``attributes.jsonl``, and the text.
        attributes: Which attributes count.
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
