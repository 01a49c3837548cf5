"""What training asks of a frozen vision encoder."""

from typing import Protocol

import torch
from torch import Tensor

from likebut.images import Preprocessing


class VisionEncoder(Protocol):
    """A frozen vision encoder, with how images become its pixels."""

    @property
    def name(self) -> str:
        """Architecture and weights, as a text."""

    @property
    def tokens(self) -> int:
        """T."""

    @property
    def width(self) -> int:
        """W."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How images become pixels."""

    def to(self, device: torch.device | str) -> object:
        """Move the encoder to ``device``."""

    def eval(self) -> object:
        """Switch dropout off."""

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return (B, T, W) tokens for (B, 3, S, S) pixels."""
