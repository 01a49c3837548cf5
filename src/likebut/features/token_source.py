"""Vision tokens by image name: the protocol, and a copy of the tokens on the model's device."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class TokenSource(Protocol):
    """Provides vision tokens by image name."""

    def tokens(self, names: Sequence[str]) -> Tensor:
        """Return the (B, T, W) tokens of the images ``names``, in that order."""

    def content(self, name: str) -> str:
        """Return the content id of an image; two names with the same content have the same id."""

    def knows(self, name: str) -> bool:
        """Return whether :meth:`content` is known for ``name``."""


class ResidentFeatures:
    """The tokens of a set of images on one device, so that a training step transfers none.

    Args:
        source: Source of the tokens.
        names: Images to keep.
        device: Where to keep them.
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
        """Return the content id of an image."""
        return self._source.content(name)

    def knows(self, name: str) -> bool:
        """Return whether :meth:`content` is known for ``name``."""
        return self._source.knows(name)

    def tokens(self, names: Sequence[str]) -> Tensor:
        """Return the (B, T, W) tokens of the images ``names``, in that order, on the device."""
        rows = [self._row_of[self._source.content(name)] for name in names]
        return self._tokens[torch.tensor(rows, device=self._tokens.device)]
