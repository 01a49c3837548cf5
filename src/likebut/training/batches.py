"""Training batches, each a pure function of seed and number.

A resumed training therefore reads exactly what an undisturbed one would have read.
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
from likebut.retriever.base import NO_IMAGE, TripletBatch
from likebut.training.view_sampler import PLAIN, ViewSampler

MAX_TEXT_TOKENS = 32
# Chooses among several ways to put one triplet's text.
TextVariants = Callable[[Triplet, np.random.Generator], str]


class TripletBatches:
    """Batches for a retriever.

    Args:
        triplets: The training data.
        features: Where vision tokens come from.
        tokenizer: The query encoder's.
        batch_size: Of a step, over all processes.
        seed: Of order and choices.
        share: The part of each batch that is this process's.
        reverse: Whether batches carry the reverse modification texts; every triplet must have one.
        both_directions: Whether each triplet that has a reverse text is also read from target to reference.
        text_variants: Chooses the modification text of a triplet each time it is read; its own text if None.
        hard_negatives: How many of its hard negatives each triplet brings into a batch, drawn anew each time; every
            triplet must have one.
        view_sampler: Views of the images, and their look-alikes, of which each target brings one.

    Raises:
        InputError: ``reverse`` is asked for and a triplet has no reverse text, or the data does not fill a batch.
    """

    stage_steps = 0

    def __init__(
        self,
        triplets: Sequence[Triplet],
        features: TokenSource,
        tokenizer: Tokenizer,
        batch_size: int,
        seed: int,
        share: DataShard = WHOLE,
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
        self._epochs = ShuffledEpochs(len(self._triplets), batch_size, seed, share)
        self._features, self._tokenizer = features, tokenizer
        self._reverse, self._text_variants, self._hard_negatives = reverse, text_variants, hard_negatives
        self._view_sampler = view_sampler
        right = {name for triplet in self._triplets for name in triplet.targets}
        # A further right image that no triplet leads to or from is never a candidate, and its content not known.
        contents = sorted({features.content(name) for name in right if features.knows(name)})
        self._id_of = {content: number for number, content in enumerate(contents)}

    @property
    def steps_per_epoch(self) -> int:
        """How many batches one pass over the triplets has."""
        return self._epochs.steps_per_epoch

    def batch(self, step: int) -> TripletBatch:
        """Return batch number ``step``."""
        chosen = [self._triplets[index] for index in self._epochs.indices(step)]
        generator = self._epochs.generator(step)
        texts = _texts(chosen, self._text_variants, generator)
        reverse = [triplet.reverse_modification or "" for triplet in chosen] if self._reverse else None
        rivals = self._rivals(chosen, generator)
        return TripletBatch(
            reference_tokens=self._tokens([triplet.reference for triplet in chosen], generator),
            target_tokens=self._tokens([triplet.target for triplet in chosen], generator),
            modification=self._tokenizer(texts, MAX_TEXT_TOKENS),
            reverse_modification=None if reverse is None else self._tokenizer(reverse, MAX_TEXT_TOKENS),
            target_ids=self._ids([triplet.target for triplet in chosen]),
            hard_negative_tokens=self._tokens(rivals, generator) if rivals else None,
            hard_negative_ids=self._ids(rivals) if rivals else None,
            further_target_ids=self._further_ids(chosen),
        )

    def _rivals(self, triplets: list[Triplet], generator: np.random.Generator) -> list[str]:
        """Return the names of the wrong candidates that the triplets bring: their own, then look-alikes."""
        own = [
            str(generator.choice(triplet.hard_negatives)) for triplet in triplets for _ in range(self._hard_negatives)
        ]
        return own + self._view_sampler.sample_mined_hard_negatives(triplets, generator)

    def _tokens(self, names: list[str], generator: np.random.Generator) -> Tensor:
        return self._view_sampler.tokens(self._features, names, generator)

    def _ids(self, names: list[str]) -> Tensor:
        # What is nobody's target is right for nobody.
        return torch.tensor([self._id_of.get(self._features.content(name), -1) for name in names])

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
        features: Where vision tokens come from.
        batch_size: Of a step, over all processes.
        seed: Of order and choices.
        share: The part of each batch that is this process's.
        both_directions: Whether each triplet that has a reverse text is also read from target to reference.
        text_variants: Chooses the modification text of a triplet each time it is read; its own text if None.
        view_sampler: Views of the images.
        setting: The recipe's name for ``batch_size``, for messages.
    """

    stage_steps = 0

    def __init__(
        self,
        triplets: Sequence[Triplet],
        features: TokenSource,
        batch_size: int,
        seed: int,
        share: DataShard = WHOLE,
        both_directions: bool = True,
        text_variants: TextVariants | None = None,
        view_sampler: ViewSampler = PLAIN,
        setting: str = "training.batch_size",
    ) -> None:
        self._triplets = with_reversed(triplets) if both_directions else list(triplets)
        self._epochs = ShuffledEpochs(len(self._triplets), batch_size, seed, share, setting)
        self._features, self._text_variants, self._view_sampler = features, text_variants, view_sampler

    @property
    def steps_per_epoch(self) -> int:
        """How many batches one pass over the pairs has."""
        return self._epochs.steps_per_epoch

    def batch(self, step: int) -> GeneratorBatch:
        """Return batch number ``step``."""
        chosen = [self._triplets[index] for index in self._epochs.indices(step)]
        generator = self._epochs.generator(step)
        texts = _texts(chosen, self._text_variants, generator)
        reference, target = (
            self._view_sampler.tokens(self._features, names, generator)
            for names in ([triplet.reference for triplet in chosen], [triplet.target for triplet in chosen])
        )
        return GeneratorBatch(reference, target, texts)


class Curriculum:
    """One kind of batch for the first steps, then another.

    Args:
        first: What the first ``first_steps`` steps read.
        first_steps: How many; there may be none.
        then: What all later steps read, from its own step 0.
    """

    def __init__(self, first: StageBatches, first_steps: int, then: Batches) -> None:
        self._first, self._first_steps, self._then = first, first_steps, then

    @property
    def stage_steps(self) -> int:
        """How many batches come before the second kind, or before what it ends with."""
        return self._first_steps + self._then.stage_steps

    @property
    def steps_per_epoch(self) -> int:
        """How many batches one pass over the second kind has."""
        return self._then.steps_per_epoch

    def batch(self, step: int) -> Any:
        """Return batch number ``step``."""
        return self._first.batch(step) if step < self._first_steps else self._then.batch(step - self._first_steps)


def reversed_triplet(triplet: Triplet) -> Triplet | None:
    """Return the triplet from target to reference, if ``triplet`` has a reverse text."""
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
    """Return ``triplets`` and then their reversed ones, where there is a reverse text and they are not there yet."""
    known = {(triplet.reference, triplet.target, triplet.modification) for triplet in triplets}
    turned = (reversed_triplet(triplet) for triplet in triplets)
    new = [each for each in turned if each and (each.reference, each.target, each.modification) not in known]
    return [*triplets, *new]


def _texts(triplets: Sequence[Triplet], variants: TextVariants | None, generator: np.random.Generator) -> list[str]:
    return [triplet.modification if variants is None else variants(triplet, generator) for triplet in triplets]


def _require_reverse_texts(triplets: Sequence[Triplet]) -> None:
    lacking = sum(not triplet.reverse_modification for triplet in triplets)
    if lacking:
        raise InputError(
            f"{lacking} of {len(triplets)} training triplets have no reverse modification text, "
            "which the prototype loss needs.",
            "Write them with `likebut synthesize --reverse-for`, or --set loss.alpha=0.",
        )


def _require_hard_negatives(triplets: Sequence[Triplet], both_directions: bool) -> None:
    lacking = sum(not triplet.hard_negatives for triplet in triplets)
    if lacking or both_directions:
        what = "reversed triplets" if both_directions else f"{lacking} of {len(triplets)} training triplets"
        raise InputError(f"{what} have no hard negatives.", "Leave data.hard_negatives at 0.")
