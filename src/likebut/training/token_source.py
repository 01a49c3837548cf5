"""Where training reads vision tokens from, by image name: the cache on disk, or a copy on the model's device."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class TokenSource(Protocol):
    """Whatever hands out vision tokens by image name."""

    def tokens(self, names: Sequence[str]) -> Tensor:
        """Return the (B, T, W) tokens of the images called ``names``, in that order."""

    def content(self, name: str) -> str:
        """Return what identifies an image's content; equal for two names with one content."""

    def knows(self, name: str) -> bool:
        """Return whether :meth:`content` has an answer."""


class ResidentFeatures:
    """The tokens of some images, all held on one device, so that a training step moves none.

    Args:
        source: Where the tokens come from.
        names: The images to hold.
        device: Where to hold them.
    """

    def __init__(self, source: TokenSource, names: Sequence[str], device: torch.device | str) -> None:
        unique = {source.content(name): name for name in names}
        self._source = source
        self._row_of = {content: row for row, content in enumerate(unique)}
        first = source.tokens(list(unique.values())[:1])
        self._tokens = torch.empty((len(unique), *first.shape[1:]), dtype=first.dtype, device=device)
        for row, name in enumerate(unique.values()):
            self._tokens[row] = source.tokens([name])[0].to(device)

    def content(self, name: str) -> str:
        """Return what identifies an image's content."""
        return self._source.content(name)

    def knows(self, name: str) -> bool:
        """Return whether :meth:`content` has an answer."""
        return self._source.knows(name)

    def tokens(self, names: Sequence[str]) -> Tensor:
        """Return the (B, T, W) tokens of the images called ``names``, in that order, on the device."""
        rows = [self._row_of[self._source.content(name)] for name in names]
        return self._tokens[torch.tensor(rows, device=self._tokens.device)]
