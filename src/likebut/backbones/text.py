"""Text as the query encoder reads it: token ids with a mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class TextBatch:
    """Texts as token ids, padded on the right.

    Attributes:
        ids: (B, L) int64.
        mask: (B, L) int64; 1 where a token is real, 0 where it is padding.
    """

    ids: Tensor
    mask: Tensor

    def to(self, device: torch.device | str) -> "TextBatch":
        """Return the batch on ``device``."""
        return TextBatch(self.ids.to(device), self.mask.to(device))

    def __len__(self) -> int:
        """Return B."""
        return self.ids.shape[0]


class Tokenizer(Protocol):
    """Turns texts into a :class:`TextBatch`; a text begins with [CLS] and ends with [SEP]."""

    @property
    def vocabulary_size(self) -> int:
        """Number of ids."""

    def __call__(self, texts: Sequence[str], max_length: int = 32) -> TextBatch:
        """Return ``texts`` as ids, cut to ``max_length`` tokens and padded to the longest of them."""
