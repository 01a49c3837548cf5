"""One vector for each image, by which neighbours are found.

Shapes: n images, T image tokens, W their width, N query tokens, E embedding width.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

from likebut.training.token_source import TokenSource

_BATCH = 64


class TargetEmbedder(Protocol):
    """What is asked of a retriever here."""

    def embed_image_tokens(self, image_tokens: Tensor) -> Tensor:
        """Return (n, N, E) target embeddings of image tokens (n, T, W)."""


def frozen_vectors(source: TokenSource, names: Sequence[str]) -> Tensor:
    """Return (n, W) vectors of length 1: the mean of each image's vision tokens."""
    return _vectors(source, names, lambda tokens: tokens.float().mean(dim=1))


def retriever_vectors(source: TokenSource, names: Sequence[str], retriever: TargetEmbedder) -> Tensor:
    """Return (n, E) vectors of length 1: the mean of each image's N target embeddings.

    Images that are neighbours here are those that the retriever may confuse.
    """
    return _vectors(source, names, lambda tokens: retriever.embed_image_tokens(tokens).float().mean(dim=1).cpu())


def _vectors(source: TokenSource, names: Sequence[str], pool: Callable[[Tensor], Tensor]) -> Tensor:
    parts = [normalize(pool(source.tokens(batch)), dim=1) for batch in _in_batches(names)]
    return torch.cat(parts) if parts else torch.empty(0, 0)


def _in_batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]
