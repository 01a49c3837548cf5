"""The round trip: the rank at which a retriever finds the target by the reference and the generated text.

Shapes: T image tokens, W their width, N query tokens, E embedding width.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from likebut.features.token_source import TokenSource
from likebut.retriever.base import similarity

_BATCH = 32
_CACHED_IMAGES = 50_000


class RoundTripRetriever(Protocol):
    """Interface of the retriever."""

    def embed_image_tokens(self, image_tokens: Tensor) -> Tensor:
        """Return target embeddings (n, N, E) of image tokens (n, T, W)."""

    def embed_query_tokens(self, image_tokens: Tensor, texts: Sequence[str]) -> Tensor:
        """Return composed queries (n, E) of image tokens (n, T, W) and n texts."""


@dataclass(frozen=True, slots=True)
class RoundTripRank:
    """Rank of a target.

    Attributes:
        rank: 1 is the best.
        neighbours: Number of other images that the target was ranked among.
    """

    rank: int
    neighbours: int


class RoundTrip:
    """Ranks targets among their references' neighbours.

    Args:
        retriever: A trained retriever.
        features: Its image tokens.
        cached_images: Number of images whose target embeddings are kept in memory.
    """

    def __init__(
        self, retriever: RoundTripRetriever, features: TokenSource, cached_images: int = _CACHED_IMAGES
    ) -> None:
        self._retriever, self._features, self._cached_images = retriever, features, cached_images
        self._embeddings: OrderedDict[str, Tensor] = OrderedDict()

    def ranks(
        self,
        references: Sequence[str],
        texts: Sequence[str],
        targets: Sequence[str],
        neighbours: Sequence[Sequence[str]],
    ) -> list[RoundTripRank]:
        """Return the rank of each target among itself and its reference's ``neighbours``; ties count against it."""
        candidates = [
            [target, *self._others(reference, target, names)]
            for reference, target, names in zip(references, targets, neighbours, strict=True)
        ]
        self._embed_all([name for names in candidates for name in names])
        found = []
        for query, names in zip(self._queries(references, texts), candidates, strict=True):
            scores = similarity(query[None], torch.stack([self._embeddings[name] for name in names]).float())[0]
            found.append(RoundTripRank(1 + int((scores[1:] >= scores[0]).sum()), len(names) - 1))
        self._evict()
        return found

    def _others(self, reference: str, target: str, neighbours: Sequence[str]) -> list[str]:
        same = {self._features.content(reference), self._features.content(target)}
        return [name for name in dict.fromkeys(neighbours) if self._features.content(name) not in same]

    def _queries(self, references: Sequence[str], texts: Sequence[str]) -> Tensor:
        parts = []
        for start in range(0, len(references), _BATCH):
            tokens = self._features.tokens(references[start : start + _BATCH])
            parts.append(self._retriever.embed_query_tokens(tokens, texts[start : start + _BATCH]).cpu())
        return torch.cat(parts) if parts else torch.empty(0, 0)

    def _embed_all(self, names: Sequence[str]) -> None:
        wanted = list(dict.fromkeys(names))
        absent = [name for name in wanted if name not in self._embeddings]
        for start in range(0, len(absent), _BATCH):
            self._embed(absent[start : start + _BATCH])
        for name in wanted:
            self._embeddings.move_to_end(name)

    def _embed(self, names: Sequence[str]) -> None:
        # Always one batch shape, so that an image's embedding is bit-identical in any batch, and a rank does not depend
        # on earlier calls.
        filled = [*names, *([names[-1]] * (_BATCH - len(names)))]
        embedded = self._retriever.embed_image_tokens(self._features.tokens(filled)).to("cpu", torch.float16)
        self._embeddings.update(zip(names, embedded, strict=False))

    def _evict(self) -> None:
        while len(self._embeddings) > self._cached_images:
            self._embeddings.popitem(last=False)
