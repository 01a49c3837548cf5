"""The order in which training reads its examples."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from likebut.errors import InputError


@dataclass(frozen=True, slots=True)
class DataShard:
    """Which part of every batch this process takes when several train together."""

    process: int = 0
    processes: int = 1


WHOLE = DataShard()


class ShuffledEpochs:
    """The order in which examples are read: every epoch a new shuffle of all, what fills no batch left out.

    Args:
        examples: How many there are.
        batch_size: Of a step, over all processes.
        seed: Of the shuffles.
        share: The part of each batch that is this process's.
        setting: The recipe's name for ``batch_size``, for the messages.

    Raises:
        InputError: There are fewer examples than one batch has, or the processes cannot share a batch evenly.
    """

    def __init__(
        self, examples: int, batch_size: int, seed: int, share: DataShard, setting: str = "training.batch_size"
    ) -> None:
        if examples < batch_size:
            raise InputError(
                f"The training data has {examples} examples, fewer than a batch of {batch_size}.",
                f"Give more data, or --set {setting}={examples}." if examples > 1 else "Give more data.",
            )
        if batch_size % share.processes:
            raise InputError(
                f"A batch of {batch_size} cannot be shared evenly by {share.processes} processes.",
                f"Make {setting} a multiple of the number of processes.",
            )
        self.steps_per_epoch = examples // batch_size
        self._examples, self._batch_size, self._seed, self._share = examples, batch_size, seed, share
        self._order_of: tuple[int, NDArray[np.int64]] | None = None

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return which examples this process reads in step ``step``."""
        epoch, position = divmod(step, self.steps_per_epoch)
        each = self._batch_size // self._share.processes
        start = position * self._batch_size + self._share.process * each
        return self._order(epoch)[start : start + each]

    def generator(self, step: int) -> np.random.Generator:
        """Return the source of the other random choices that this process makes for step ``step``."""
        return np.random.default_rng([self._seed, 1, step, self._share.process])

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if self._order_of is None or self._order_of[0] != epoch:
            shuffled = np.random.default_rng([self._seed, 0, epoch]).permutation(self._examples)
            self._order_of = (epoch, shuffled)
        return self._order_of[1]


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
