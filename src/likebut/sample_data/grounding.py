"""How well texts are grounded: precision, recall and F1 of the attribute changes they claim."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from likebut.sample_data.attributes import changes_between
from likebut.sample_data.parser import claimed_changes


@dataclass(frozen=True)
class Grounding:
    """Counts over many pairs of images, and what follows from them.

    Attributes:
        right: Changes that were claimed and true.
        claimed: Changes that were claimed.
        true: Changes that were true.
    """

    right: int
    claimed: int
    true: int

    @property
    def precision(self) -> float:
        """The share of claimed changes that are true; 0 where nothing is claimed."""
        return self.right / self.claimed if self.claimed else 0.0

    @property
    def recall(self) -> float:
        """The share of true changes that are claimed; 0 where nothing is true."""
        return self.right / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        total = self.claimed + self.true
        return 2 * self.right / total if total else 0.0


def measure_grounding(rows: Iterable[tuple[Mapping[str, str], Mapping[str, str], str]]) -> Grounding:
    """Return precision, recall and F1 over ``(reference, target, text)`` rows, micro-averaged.

    Args:
        rows: What can be seen and said of the reference and of the target (attribute → value, as in
            ``attributes.jsonl``), and the modification text. A change is an (attribute, new value) pair.
    """
    right = claimed = true = 0
    for reference, target, text in rows:
        claims, truth = claimed_changes(text, reference), set(changes_between(reference, target).items())
        right, claimed, true = right + len(claims & truth), claimed + len(claims), true + len(truth)
    return Grounding(right, claimed, true)
