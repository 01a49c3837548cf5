"""What the generator is trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class GeneratorBatch:
    """B pairs of images, each with the modification text to learn.

    Attributes:
        reference_tokens: (B, T, W) image tokens.
        target_tokens: (B, T, W) image tokens.
        texts: B modification texts.
    """

    reference_tokens: Tensor
    target_tokens: Tensor
    texts: Sequence[str]

    def to(self, device: torch.device | str) -> "GeneratorBatch":
        """Return the batch on ``device``."""
        return GeneratorBatch(
            self.reference_tokens.to(device, non_blocking=True),
            self.target_tokens.to(device, non_blocking=True),
            self.texts,
        )


@dataclass(frozen=True, slots=True)
class CaptionBatch:
    """B single images, each with a caption to learn.

    Attributes:
        image_tokens: (B, T, W) image tokens.
        texts: B captions.
    """

    image_tokens: Tensor
    texts: Sequence[str]

    def to(self, device: torch.device | str) -> "CaptionBatch":
        """Return the batch on ``device``."""
        return CaptionBatch(self.image_tokens.to(device, non_blocking=True), self.texts)


@dataclass(frozen=True, slots=True)
class WordBatch:
    """Pairs with their modification texts and single images with all that is said of them, for the words stage.

    Attributes:
        pairs: B pairs.
        images: Single images; the text of each is all of its captions, one after the other.
    """

    pairs: GeneratorBatch
    images: CaptionBatch

    def to(self, device: torch.device | str) -> "WordBatch":
        """Return the batch on ``device``."""
        return WordBatch(self.pairs.to(device), self.images.to(device))
