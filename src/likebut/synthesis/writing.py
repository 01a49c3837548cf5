"""Work on one shard: a pure function from pairs to rows, which a cluster's workers can be given one by one."""

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
    """How texts are written.

    Attributes:
        decoding: Of the language model.
        both_directions: Whether each pair gets a reverse text too.
        shard_size: Pairs in a shard.
        batch_size: Texts written at once.
        log_probability: Whether each text's log-probability is worked out, which costs another pass.
        precision: Of the language model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    decoding: Decoding = Decoding()
    both_directions: bool = True
    shard_size: int = Field(default=256, ge=1)
    batch_size: int = Field(default=16, ge=1)
    log_probability: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"


class Writer(Protocol):
    """What is asked of a generator here; shapes as in its own file."""

    def write_batch(self, reference_tokens: Tensor, target_tokens: Tensor, decoding: Decoding) -> list[str]:
        """Return one text for each pair of image tokens, (B, T, W) each."""

    def log_probabilities(self, reference_tokens: Tensor, target_tokens: Tensor, texts: Sequence[str]) -> list[float]:
        """Return for each pair the mean log-probability of its text's tokens."""


@dataclass(frozen=True, slots=True)
class ShardWork:
    """What is to be written into one shard; it can be pickled.

    Attributes:
        number: The shard's.
        first_pair: The number of its first pair in the whole run.
    """

    number: int
    first_pair: int
    pairs: tuple[MinedPair, ...]
    settings: WritingSettings


@dataclass(frozen=True)
class Tools:
    """What writes and checks the texts; each process has its own.

    Attributes:
        generator: Writes.
        features: The vision tokens that the generator reads.
        round_trip: Ranks; None for no round trip.
    """

    generator: Writer
    features: TokenSource
    round_trip: RoundTrip | None = None


def plan_shards(pairs: Sequence[MinedPair], settings: WritingSettings) -> list[ShardWork]:
    """Return the work on ``pairs``, cut into shards in their order."""
    size = settings.shard_size
    return [
        ShardWork(number, start, tuple(pairs[start : start + size]), settings)
        for number, start in enumerate(range(0, len(pairs), size))
    ]


def write_shard(work: ShardWork, tools: Tools, advance: Callable[[int], None] | None = None) -> list[SyntheticRow]:
    """Return one row for each pair of a shard, not yet apply_filters by the filters.

    The rows depend on ``work`` and on what the tools compute, not on other shards or on what was done before.

    Args:
        work: Pairs and settings.
        tools: Generator and round trip.
        advance: Called with the number of pairs that each batch finished.
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
    columns = _one_direction(pairs, [first_pair, 0], settings, tools)
    if settings.both_directions:
        reverse = _one_direction([_turned(pair) for pair in pairs], [first_pair, 1], settings, tools)
        columns |= {f"reverse_{name}": values for name, values in reverse.items()}
    decoding = settings.decoding.model_dump_json()
    return [
        SyntheticRow(
            number=first_pair + position,
            reference=pair.reference,
            target=pair.target,
            decoding=decoding,
            **{name: values[position] for name, values in columns.items()},
        )
        for position, pair in enumerate(pairs)
    ]


def _one_direction(
    pairs: Sequence[MinedPair], place: list[int], settings: WritingSettings, tools: Tools
) -> dict[str, list[Any]]:
    """Return the columns of the texts from references to targets."""
    references = tools.features.tokens([pair.reference for pair in pairs])
    targets = tools.features.tokens([pair.target for pair in pairs])
    texts = tools.generator.write_batch(references, targets, _seeded(settings.decoding, place))
    columns: dict[str, list[Any]] = {"modification": texts, **_ranks(pairs, texts, tools.round_trip)}
    if settings.log_probability:
        columns["log_probability"] = tools.generator.log_probabilities(references, targets, texts)
    return columns


def _ranks(pairs: Sequence[MinedPair], texts: Sequence[str], round_trip: RoundTrip | None) -> dict[str, list[Any]]:
    if round_trip is None:
        return {}
    found = round_trip.ranks(
        [pair.reference for pair in pairs],
        texts,
        [pair.target for pair in pairs],
        [pair.reference_neighbours for pair in pairs],
    )
    return {"rank": [item.rank for item in found], "neighbours": [item.neighbours for item in found]}


def _turned(pair: MinedPair) -> MinedPair:
    return MinedPair(pair.target, pair.reference, pair.similarity, pair.target_neighbours, pair.reference_neighbours)


def _seeded(decoding: Decoding, place: list[int]) -> Decoding:
    # With one seed for all batches, the n-th text of every batch would be drawn with the same dice.
    seed = np.random.SeedSequence([decoding.seed, *place]).generate_state(1)[0]
    return decoding.model_copy(update={"seed": int(seed)})
