"""What an adaptation came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likebut.adapt.measure import LABEL
from likebut.adapt.texts import Coverage
from likebut.data.images import SkippedImage
from likebut.files import read_json
from likebut.retriever.retriever import Retriever

RESULT_NAME = "result.json"
BASE, ADAPTED = "base", "adapted"


@dataclass(frozen=True)
class AdaptResult:
    """What an adaptation came to.

    Attributes:
        folder: The run's; given wherever a model is asked for.
        kept: "adapted" or "base": the base is kept where the metrics did not improve.
        reason: Why, in a sentence.
        before: The base's metrics on held-out images, with intervals; empty if nothing could be measured.
        after: Likewise the result's.
        gain: The 95 % interval of the paired difference of mAP@10, in points.
        weight: How far the result stands between base (0) and trained model (1).
        coverage: Which texts there were.
        skipped: Images that could not be used.
        seconds: Of each stage.
        warnings: What a reader should know.
        measured_on: What the metrics are of.
    """

    folder: Path
    kept: str
    reason: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    gain: tuple[float, float] | None
    weight: float
    coverage: Coverage
    skipped: Sequence[SkippedImage]
    seconds: Mapping[str, float]
    warnings: Sequence[str]
    measured_on: str = LABEL

    @property
    def retriever(self) -> Retriever:
        """The result."""
        return Retriever.from_pretrained(self.folder)

    def to_json(self) -> dict[str, Any]:
        """Return the result as ``result.json`` holds it."""
        return {
            "model": str(self.folder),
            "kept": self.kept,
            "reason": self.reason,
            "measured_on": self.measured_on,
            "before": dict(self.before),
            "after": dict(self.after),
            "gain interval": list(self.gain) if self.gain else None,
            "weight": self.weight,
            "coverage": self.coverage.to_json(),
            "skipped": [image.to_json() for image in self.skipped],
            "seconds": dict(self.seconds),
            "warnings": list(self.warnings),
        }


def read_result(out: Path) -> dict[str, Any]:
    """Return what ``result.json`` of a finished run says."""
    found: dict[str, Any] = read_json(out / RESULT_NAME)
    return found
