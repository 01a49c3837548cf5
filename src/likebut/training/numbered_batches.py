"""What the loop and its stages ask of batches, each of which is a pure function of its number."""

from typing import Any, Protocol


class StageBatches(Protocol):
    """What one stage reads."""

    def batch(self, step: int) -> Any:
        """Return batch number ``step``, counted from 0 over all epochs."""


class Batches(StageBatches, Protocol):
    """What a training reads, from its first stage to its last."""

    @property
    def stage_steps(self) -> int:
        """How many batches, the first ones, are of stages before the data itself."""

    @property
    def steps_per_epoch(self) -> int:
        """How many batches one pass over the data has."""
