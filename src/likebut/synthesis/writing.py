"""Writing one shard: a pure function from pairs to rows, which a cluster runs shard by shard.

Shapes: B batch, T image tokens, W their width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from likebut.data.synthetic_triplets import SyntheticRow
from likebut.features.token_source import TokenSource
from likebut.generator.decoding import Decoding
from likebut.synthesis.mining import MinedPair
from likebut.synthesis.round_trip import RoundTrip


class WritingSettings(BaseModel):
    """Settings of writing.

    Attributes:
        decoding: Decoding of the language model.
        both_directions: Whether each pair gets a reverse text too.
        shard_size: Pairs of a shard.
        batch_size: Pairs of a batch.
        log_probability: Whether each text's log-probability is recorded, which costs another pass.
        precision: Precision of the language model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    decoding: Decoding = Decoding()
    both_directions: bool = True
    shard_size: int = Field(default=256, ge=1)
    batch_size: int = Field(default=16, ge=1)
    log_probability: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"


class Writer(Protocol):
    """Interface of the generator."""

    def write_batch(self, reference_tokens: Tensor, target_tokens: Tensor, decoding: Decoding) -> list[str]:
        """Return one text for each pair of image tokens, (B, T, W) each."""

    def log_probabilities(self, reference_tokens: Tensor, target_tokens: Tensor, texts: Sequence[str]) -> list[float]:
        """Return the mean log-probability of each text's tokens."""


@dataclass(frozen=True, slots=True)
class ShardWork:
    """The pairs of one shard with the settings; picklable.

    Attributes:
        number: Index of the shard.
        first_pair: Index of its first pair in the run.
    """

    number: int
    first_pair: int
    pairs: tuple[MinedPair, ...]
    settings: WritingSettings


@dataclass(frozen=True)
class Tools:
    """Models of a run; each process has its own.

    Attributes:
        generator: Writes the texts.
        features: Image tokens for the generator.
        round_trip: Checks the texts; None for no round trip.
    """

    generator: Writer
    features: TokenSource
    round_trip: RoundTrip | None = None


def plan_shards(pairs: Sequence[MinedPair], settings: WritingSettings) -> list[ShardWork]:
    """Split ``pairs`` into shards, in order."""
    size = settings.shard_size
    return [
        ShardWork(number, start, tuple(pairs[start : start + size]), settings)
        for number, start in enumerate(range(0, len(pairs), size))
    ]


def write_shard(work: ShardWork, tools: Tools, advance: Callable[[int], None] | None = None) -> list[SyntheticRow]:
    """Return one row for each pair of a shard, before :func:`~likebut.synthesis.filters.apply_filters`.

    The rows depend on ``work`` and ``tools`` alone, not on other shards or earlier calls.

    Args:
        work: Pairs and settings.
        tools: Generator, image tokens and round trip.
        advance: Called with the number of pairs after each batch.
    """
    rows: list[SyntheticRow] = []
    for start in range(0, len(work.pairs), work.settings.batch_size):
        pairs = work.pairs[start : start + work.settings.batch_size]
        rows += _write_batch(pairs, work.first_pair + start, work.settings, tools)
        if advance is not None:
            advance(len(pairs))
    return rows


def _write_batch(
    pairs: Sequence[MinedPair], first_pair: int, settings: WritingSettings, tools: Tools
) -> list[SyntheticRow]:
    # Both directions in one batch: decoding is faster the more texts it writes at once.
    directed = [*pairs, *(_reversed(pair) for pair in pairs)] if settings.both_directions else list(pairs)
    columns = _write_columns(directed, first_pair, settings, tools)
    decoding = settings.decoding.model_dump_json()
    return [
        SyntheticRow(
            number=first_pair + position,
            reference=pair.reference,
            target=pair.target,
            decoding=decoding,
            **{name: values[position] for name, values in columns.items()},
            **{f"reverse_{name}": values[len(pairs) + position] for name, values in columns.items()}
            if settings.both_directions
            else {},
        )
        for position, pair in enumerate(pairs)
    ]


def _write_columns(
    pairs: Sequence[MinedPair], first_pair: int, settings: WritingSettings, tools: Tools
) -> dict[str, list[Any]]:
    """Return texts from references to targets, with their ranks and log-probabilities."""
    references = tools.features.tokens([pair.reference for pair in pairs])
    targets = tools.features.tokens([pair.target for pair in pairs])
    # One seed for all batches would give the n-th text of every batch the same random numbers.
    seed = int(np.random.SeedSequence([settings.decoding.seed, first_pair]).generate_state(1)[0])
    texts = tools.generator.write_batch(references, targets, settings.decoding.model_copy(update={"seed": seed}))
    columns: dict[str, list[Any]] = {"modification": texts}
    if tools.round_trip is not None:
        ranks = tools.round_trip.ranks(
            [pair.reference for pair in pairs],
            texts,
            [pair.target for pair in pairs],
            [pair.reference_neighbours for pair in pairs],
        )
        columns |= {"rank": [found.rank for found in ranks], "neighbours": [found.neighbours for found in ranks]}
    if settings.log_probability:
        columns["log_probability"] = tools.generator.log_probabilities(references, targets, texts)
    return columns


def _reversed(pair: MinedPair) -> MinedPair:
    return MinedPair(pair.target, pair.reference, pair.similarity, pair.target_neighbours, pair.reference_neighbours)
