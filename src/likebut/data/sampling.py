"""The order in which training reads its examples, and the protocols of training batches."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from likebut.errors import InputError


@dataclass(frozen=True, slots=True)
class DataShard:
    """The part of every batch that one of several training processes reads."""

    process: int = 0
    processes: int = 1


WHOLE = DataShard()


class ShuffledEpochs:
    """A new shuffle of all examples in every epoch, without the last, incomplete batch.

    The indices are a function of seed and step, so a run resumes at any step without reading the earlier ones.

    Args:
        examples: Number of examples.
        batch_size: Examples per step, over all processes.
        seed: Seed of the shuffles.
        shard: The part of each batch that this process reads.
        setting: The recipe key of ``batch_size``, for the messages.

    Raises:
        InputError: There are fewer examples than one batch, or a batch cannot be split evenly over the processes.
    """

    def __init__(
        self, examples: int, batch_size: int, seed: int, shard: DataShard, setting: str = "training.batch_size"
    ) -> None:
        if examples < batch_size:
            raise InputError(
                f"The training data has {examples} examples, fewer than a batch of {batch_size}.",
                f"Give more data, or --set {setting}={examples}." if examples > 1 else "Give more data.",
            )
        if batch_size % shard.processes:
            raise InputError(
                f"A batch of {batch_size} cannot be split evenly over {shard.processes} processes.",
                f"Make {setting} a multiple of the number of processes.",
            )
        self.steps_per_epoch = examples // batch_size
        self._examples, self._batch_size, self._seed, self._shard = examples, batch_size, seed, shard
        self._order_of: tuple[int, NDArray[np.int64]] | None = None

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return the examples that this process reads in step ``step``."""
        epoch, position = divmod(step, self.steps_per_epoch)
        each = self._batch_size // self._shard.processes
        start = position * self._batch_size + self._shard.process * each
        return self._order(epoch)[start : start + each]

    def generator(self, step: int) -> np.random.Generator:
        """Return the random generator for this process's other choices in step ``step``."""
        return np.random.default_rng([self._seed, 1, step, self._shard.process])

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if self._order_of is None or self._order_of[0] != epoch:
            shuffled = np.random.default_rng([self._seed, 0, epoch]).permutation(self._examples)
            self._order_of = (epoch, shuffled)
        return self._order_of[1]


class StageBatches(Protocol):
    """Batches of one training stage."""

    def batch(self, step: int) -> Any:
        """Return the batch of step ``step``, counted from 0 over all epochs."""


class Batches(StageBatches, Protocol):
    """Batches of a training run, from its first stage to its last."""

    @property
    def stage_steps(self) -> int:
        """Number of leading batches that belong to stages before the pairs or triplets."""

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in one pass over the data."""
