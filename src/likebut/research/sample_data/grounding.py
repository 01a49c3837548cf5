"""Grounding of modification texts about the sample's drawings: precision, recall and F1 of the claimed changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from likebut.research.sample_data.attributes import changes_between
from likebut.research.sample_data.parser import claimed_changes


@dataclass(frozen=True)
class Grounding:
    """Counts over pairs of drawings, and the metrics that follow.

    Attributes:
        correct: Number of claimed changes that are true.
        claimed: Number of claimed changes.
        true: Number of true changes.
    """

    correct: int
    claimed: int
    true: int

    @property
    def precision(self) -> float:
        """The fraction of claimed changes that are true; 0 if nothing is claimed."""
        return self.correct / self.claimed if self.claimed else 0.0

    @property
    def recall(self) -> float:
        """The fraction of true changes that are claimed; 0 if nothing changes."""
        return self.correct / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        total = self.claimed + self.true
        return 2 * self.correct / total if total else 0.0


def measure_grounding(rows: Iterable[tuple[Mapping[str, str], Mapping[str, str], str]]) -> Grounding:
    """Return precision, recall and F1 over ``(reference, target, text)`` rows, micro-averaged.

    Args:
        rows: Attribute → value of the reference and of the target (as in ``attributes.jsonl``), and the modification
            text. A change is an (attribute, new value) pair.
    """
    correct = claimed = true = 0
    for reference, target, text in rows:
        claims, truth = claimed_changes(text, reference), set(changes_between(reference, target).items())
        correct, claimed, true = correct + len(claims & truth), claimed + len(claims), true + len(truth)
    return Grounding(correct, claimed, true)


def count_claims(reference: Mapping[str, str], target: Mapping[str, str], text: str) -> tuple[int, int]:
    """Return the number of correct claims of one text, and of all its claims."""
    claims = claimed_changes(text, reference)
    return len(claims & set(changes_between(reference, target).items())), len(claims)
