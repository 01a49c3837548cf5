"""Training batches of single images with captions: for the stages that come before triplets and pairs."""

from collections.abc import Sequence

import torch

from likebut.data.folder import Caption
from likebut.data.sampling import WHOLE, DataShard, ShuffledEpochs
from likebut.features.token_source import TokenSource
from likebut.generator.mtst import CaptionBatch, WordBatch
from likebut.models.tokenizers import Tokenizer
from likebut.retriever.base import ImageTextBatch
from likebut.training.batches import MAX_TEXT_TOKENS, PairBatches
from likebut.training.view_sampler import PLAIN, ViewSampler


class CaptionBatches:
    """Batches of single images with a caption each, for a generator's first stage.

    Args:
        captions: Images with their texts.
        features: Where vision tokens come from.
        batch_size: Of a step, over all processes.
        seed: Of order and choice of text.
        share: The part of each batch that is this process's.
        together: Whether an image's text is all of its captions, one after the other, instead of one drawn by lot.
        view_sampler: Views of the images.
        setting: The recipe's name for ``batch_size``, for messages.
    """

    def __init__(
        self,
        captions: Sequence[Caption],
        features: TokenSource,
        batch_size: int,
        seed: int,
        share: DataShard = WHOLE,
        together: bool = False,
        view_sampler: ViewSampler = PLAIN,
        setting: str = "captions.batch_size",
    ) -> None:
        self._captions = list(captions)
        self._together = together
        self._epochs = ShuffledEpochs(len(self._captions), batch_size, seed, share, setting)
        self._features, self._view_sampler = features, view_sampler
        number_of: dict[str, int] = {}
        self._ids = [number_of.setdefault(features.content(each.image), len(number_of)) for each in self._captions]

    @property
    def steps_per_epoch(self) -> int:
        """How many batches one pass over the images has."""
        return self._epochs.steps_per_epoch

    def image_ids(self, step: int) -> list[int]:
        """Return a number for each image of batch number ``step``, equal for equal contents, in every process."""
        return [self._ids[index] for index in self._epochs.indices(step)]

    def batch(self, step: int) -> CaptionBatch:
        """Return batch number ``step``."""
        chosen = [self._captions[index] for index in self._epochs.indices(step)]
        generator = self._epochs.generator(step)
        if self._together:
            texts = [" ".join(caption.texts) for caption in chosen]
        else:
            texts = [caption.texts[generator.integers(len(caption.texts))] for caption in chosen]
        names = [caption.image for caption in chosen]
        return CaptionBatch(self._view_sampler.tokens(self._features, names, generator), texts)


class ImageTextBatches:
    """Batches of single images with a caption each, for a retriever's captions stage.

    Args:
        captions: Batches of images and texts.
        tokenizer: The query encoder's.
    """

    def __init__(self, captions: CaptionBatches, tokenizer: Tokenizer) -> None:
        self._captions, self._tokenizer = captions, tokenizer

    @property
    def steps_per_epoch(self) -> int:
        """How many batches one pass over the images has."""
        return self._captions.steps_per_epoch

    def batch(self, step: int) -> ImageTextBatch:
        """Return batch number ``step``."""
        images = self._captions.batch(step)
        ids = torch.tensor(self._captions.image_ids(step))
        return ImageTextBatch(images.image_tokens, self._tokenizer(images.texts, MAX_TEXT_TOKENS), ids)


class WordBatches:
    """Batches for a generator's words stage: pairs, and single images with all of their captions.

    Args:
        pairs: Of pairs.
        images: Of single images.
    """

    def __init__(self, pairs: PairBatches, images: CaptionBatches) -> None:
        self._pairs, self._images = pairs, images

    @property
    def steps_per_epoch(self) -> int:
        """How many batches one pass over the pairs has."""
        return self._pairs.steps_per_epoch

    def batch(self, step: int) -> WordBatch:
        """Return batch number ``step``."""
        return WordBatch(self._pairs.batch(step), self._images.batch(step))
