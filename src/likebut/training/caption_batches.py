"""Training batches of images with captions, for the stages before triplets and pairs."""

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
    """Batches of images with a caption each, for a generator's captions stage.

    Args:
        captions: Images with their captions.
        features: Provides the vision tokens.
        batch_size: Images per step, over all processes.
        seed: Of the order and of the sampled captions.
        shard: The part of each batch that this process reads.
        together: Whether the text of an image is all of its captions, joined, instead of a random one.
        view_sampler: Samples views of the images.
        setting: The setting that ``batch_size`` comes from, for messages.
    """

    def __init__(
        self,
        captions: Sequence[Caption],
        features: TokenSource,
        batch_size: int,
        seed: int,
        shard: DataShard = WHOLE,
        together: bool = False,
        view_sampler: ViewSampler = PLAIN,
        setting: str = "captions.batch_size",
    ) -> None:
        self._captions = list(captions)
        self._together = together
        self._epochs = ShuffledEpochs(len(self._captions), batch_size, seed, shard, setting)
        self._features, self._view_sampler = features, view_sampler
        number_of: dict[str, int] = {}
        self._ids = [number_of.setdefault(features.content(each.image), len(number_of)) for each in self._captions]

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the images."""
        return self._epochs.steps_per_epoch

    def image_ids(self, step: int) -> list[int]:
        """Return an id for each image of the batch of ``step``, equal for equal content and in all processes."""
        return [self._ids[index] for index in self._epochs.indices(step)]

    def batch(self, step: int) -> CaptionBatch:
        """Return the batch of ``step``."""
        chosen = [self._captions[index] for index in self._epochs.indices(step)]
        generator = self._epochs.generator(step)
        if self._together:
            texts = [" ".join(caption.texts) for caption in chosen]
        else:
            texts = [caption.texts[generator.integers(len(caption.texts))] for caption in chosen]
        names = [caption.image for caption in chosen]
        return CaptionBatch(self._view_sampler.tokens(self._features, names, generator), texts)


class ImageTextBatches:
    """Batches of images with a tokenized caption each, for a retriever's captions stage.

    Args:
        captions: Batches of images and captions.
        tokenizer: The query encoder's.
    """

    def __init__(self, captions: CaptionBatches, tokenizer: Tokenizer) -> None:
        self._captions, self._tokenizer = captions, tokenizer

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the images."""
        return self._captions.steps_per_epoch

    def batch(self, step: int) -> ImageTextBatch:
        """Return the batch of ``step``."""
        images = self._captions.batch(step)
        ids = torch.tensor(self._captions.image_ids(step))
        return ImageTextBatch(images.image_tokens, self._tokenizer(images.texts, MAX_TEXT_TOKENS), ids)


class WordBatches:
    """Batches for a generator's words stage: pairs, and images with all of their captions.

    Args:
        pairs: Batches of pairs.
        images: Batches of images.
    """

    def __init__(self, pairs: PairBatches, images: CaptionBatches) -> None:
        self._pairs, self._images = pairs, images

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the pairs."""
        return self._pairs.steps_per_epoch

    def batch(self, step: int) -> WordBatch:
        """Return the batch of ``step``."""
        return WordBatch(self._pairs.batch(step), self._images.batch(step))
