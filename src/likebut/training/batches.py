"""Training batches of triplets and pairs, each a pure function of seed and step.

A resumed training therefore reads exactly the batches that an uninterrupted one would have read.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likebut.data.sampling import WHOLE, Batches, DataShard, ShuffledEpochs, StageBatches
from likebut.data.triplets import Triplet
from likebut.errors import InputError
from likebut.features.token_source import TokenSource
from likebut.generator.mtst import GeneratorBatch
from likebut.models.tokenizers import Tokenizer
from likebut.retriever.base import NO_IMAGE, NO_TARGET, TripletBatch
from likebut.training.view_sampler import PLAIN, ViewSampler

MAX_TEXT_TOKENS = 32
TextVariants = Callable[[Triplet, np.random.Generator], str]
"""Returns one of several modification texts of a triplet, sampled with the generator."""


class TripletBatches:
    """Batches for a retriever.

    Args:
        triplets: The training data.
        features: Provides the vision tokens.
        tokenizer: The query encoder's.
        batch_size: Triplets per step, over all processes.
        seed: Of the order and of all random choices.
        shard: The part of each batch that this process reads.
        reverse: Whether batches have reverse modification texts; every triplet must have one.
        both_directions: Whether a triplet with a reverse text is also read from target to reference.
        text_variants: Samples the modification text each time a triplet is read; the triplet's own text if None.
        hard_negatives: How many of its listed hard negatives are sampled each time a triplet is read; every triplet
            must have one.
        view_sampler: Samples views of the images, and one mined hard negative per triplet if any were mined.

    Raises:
        InputError: A triplet lacks a reverse text or a hard negative that is required, or the data does not fill a
            batch.
    """

    stage_steps = 0

    def __init__(
        self,
        triplets: Sequence[Triplet],
        features: TokenSource,
        tokenizer: Tokenizer,
        batch_size: int,
        seed: int,
        shard: DataShard = WHOLE,
        reverse: bool = False,
        both_directions: bool = False,
        text_variants: TextVariants | None = None,
        hard_negatives: int = 0,
        view_sampler: ViewSampler = PLAIN,
    ) -> None:
        if reverse:
            _require_reverse_texts(triplets)
        if hard_negatives:
            _require_hard_negatives(triplets, both_directions)
        self._triplets = with_reversed(triplets) if both_directions else list(triplets)
        self._epochs = ShuffledEpochs(len(self._triplets), batch_size, seed, shard)
        self._features, self._tokenizer = features, tokenizer
        self._reverse, self._text_variants, self._hard_negatives = reverse, text_variants, hard_negatives
        self._view_sampler = view_sampler
        targets = {name for triplet in self._triplets for name in triplet.targets}
        # A further target that no triplet reads is never a candidate, and its content is unknown.
        contents = sorted({features.content(name) for name in targets if features.knows(name)})
        self._id_of = {content: number for number, content in enumerate(contents)}

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the triplets."""
        return self._epochs.steps_per_epoch

    def batch(self, step: int) -> TripletBatch:
        """Return the batch of ``step``."""
        chosen = [self._triplets[index] for index in self._epochs.indices(step)]
        generator = self._epochs.generator(step)
        texts = _texts(chosen, self._text_variants, generator)
        reverse = [triplet.reverse_modification or "" for triplet in chosen] if self._reverse else None
        negatives = self._sample_hard_negatives(chosen, generator)
        return TripletBatch(
            reference_tokens=self._tokens([triplet.reference for triplet in chosen], generator),
            target_tokens=self._tokens([triplet.target for triplet in chosen], generator),
            modification=self._tokenizer(texts, MAX_TEXT_TOKENS),
            reverse_modification=None if reverse is None else self._tokenizer(reverse, MAX_TEXT_TOKENS),
            target_ids=self._ids([triplet.target for triplet in chosen]),
            hard_negative_tokens=self._tokens(negatives, generator) if negatives else None,
            hard_negative_ids=self._ids(negatives) if negatives else None,
            further_target_ids=self._further_ids(chosen),
        )

    def _sample_hard_negatives(self, triplets: list[Triplet], generator: np.random.Generator) -> list[str]:
        """Return the names of listed hard negatives, then those of mined ones."""
        listed = [
            str(generator.choice(triplet.hard_negatives)) for triplet in triplets for _ in range(self._hard_negatives)
        ]
        return listed + self._view_sampler.sample_mined_hard_negatives(triplets, generator)

    def _tokens(self, names: list[str], generator: np.random.Generator) -> Tensor:
        return self._view_sampler.tokens(self._features, names, generator)

    def _ids(self, names: list[str]) -> Tensor:
        return torch.tensor([self._id_of.get(self._features.content(name), NO_TARGET) for name in names])

    def _further_ids(self, triplets: list[Triplet]) -> Tensor | None:
        further = [[name for name in triplet.targets if name != triplet.target] for triplet in triplets]
        known = [
            [self._id_of[self._features.content(name)] for name in names if self._features.knows(name)]
            for names in further
        ]
        width = max(map(len, known))
        return torch.tensor([ids + [NO_IMAGE] * (width - len(ids)) for ids in known]) if width else None


class PairBatches:
    """Batches of image pairs with their modification texts, for a generator.

    Args:
        triplets: The training data.
        features: Provides the vision tokens.
        batch_size: Pairs per step, over all processes.
        seed: Of the order and of all random choices.
        shard: The part of each batch that this process reads.
        both_directions: Whether a triplet with a reverse text is also read from target to reference.
        text_variants: Samples the modification text each time a triplet is read; the triplet's own text if None.
        view_sampler: Samples views of the images.
        setting: The setting that ``batch_size`` comes from, for messages.
    """

    stage_steps = 0

    def __init__(
        self,
        triplets: Sequence[Triplet],
        features: TokenSource,
        batch_size: int,
        seed: int,
        shard: DataShard = WHOLE,
        both_directions: bool = True,
        text_variants: TextVariants | None = None,
        view_sampler: ViewSampler = PLAIN,
        setting: str = "training.batch_size",
    ) -> None:
        self._triplets = with_reversed(triplets) if both_directions else list(triplets)
        self._epochs = ShuffledEpochs(len(self._triplets), batch_size, seed, shard, setting)
        self._features, self._text_variants, self._view_sampler = features, text_variants, view_sampler

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the pairs."""
        return self._epochs.steps_per_epoch

    def batch(self, step: int) -> GeneratorBatch:
        """Return the batch of ``step``."""
        chosen = [self._triplets[index] for index in self._epochs.indices(step)]
        generator = self._epochs.generator(step)
        texts = _texts(chosen, self._text_variants, generator)
        reference, target = (
            self._view_sampler.tokens(self._features, names, generator)
            for names in ([triplet.reference for triplet in chosen], [triplet.target for triplet in chosen])
        )
        return GeneratorBatch(reference, target, texts)


class Curriculum:
    """Batches of one stage for the first steps, then those of others.

    Args:
        first: Batches of the first ``first_steps`` steps.
        first_steps: May be 0.
        then: Batches of all later steps, from its own step 0.
    """

    def __init__(self, first: StageBatches, first_steps: int, then: Batches) -> None:
        self._first, self._first_steps, self._then = first, first_steps, then

    @property
    def stage_steps(self) -> int:
        """Steps before the last stage."""
        return self._first_steps + self._then.stage_steps

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the data of the last stage."""
        return self._then.steps_per_epoch

    def batch(self, step: int) -> Any:
        """Return the batch of ``step``."""
        return self._first.batch(step) if step < self._first_steps else self._then.batch(step - self._first_steps)


def reversed_triplet(triplet: Triplet) -> Triplet | None:
    """Return the triplet from target to reference; None if ``triplet`` has no reverse text."""
    if not triplet.reverse_modification:
        return None
    return Triplet(
        reference=triplet.target,
        target=triplet.reference,
        modification=triplet.reverse_modification,
        split=triplet.split,
        id=f"{triplet.id}-reversed" if triplet.id else "",
        reverse_modification=triplet.modification,
    )


def with_reversed(triplets: Sequence[Triplet]) -> list[Triplet]:
    """Return ``triplets`` followed by their reversed triplets, except those that ``triplets`` already contain."""
    known = {(triplet.reference, triplet.target, triplet.modification) for triplet in triplets}
    candidates = (reversed_triplet(triplet) for triplet in triplets)
    new = [each for each in candidates if each and (each.reference, each.target, each.modification) not in known]
    return [*triplets, *new]


def _texts(triplets: Sequence[Triplet], variants: TextVariants | None, generator: np.random.Generator) -> list[str]:
    return [triplet.modification if variants is None else variants(triplet, generator) for triplet in triplets]


def _require_reverse_texts(triplets: Sequence[Triplet]) -> None:
    lacking = sum(not triplet.reverse_modification for triplet in triplets)
    if lacking:
        raise InputError(
            f"{lacking} of {len(triplets)} training triplets have no reverse modification text, "
            "which the prototype loss needs.",
            "Generate them with `likebut synthesize --reverse-for`, or --set loss.alpha=0.",
            "missing-reverse-texts",
        )


def _require_hard_negatives(triplets: Sequence[Triplet], both_directions: bool) -> None:
    lacking = sum(not triplet.hard_negatives for triplet in triplets)
    if lacking or both_directions:
        what = "reversed triplets" if both_directions else f"{lacking} of {len(triplets)} training triplets"
        raise InputError(f"{what} have no hard negatives.", "Leave data.hard_negatives at 0.", "missing-hard-negatives")
