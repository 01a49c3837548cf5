"""The round trip: does a retriever, given the reference and the written text, find the target again?

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
_REMEMBERED = 50_000


class RoundTripRetriever(Protocol):
    """What is asked of a retriever here."""

    def embed_image_tokens(self, image_tokens: Tensor) -> Tensor:
        """Return (n, N, E) target embeddings of image tokens (n, T, W)."""

    def embed_query_tokens(self, image_tokens: Tensor, texts: Sequence[str]) -> Tensor:
        """Return (n, E) composed queries of image tokens (n, T, W) and n texts."""


@dataclass(frozen=True, slots=True)
class Placing:
    """How well a target was found again.

    Attributes:
        rank: 1 the best.
        neighbours: How many other images it was ranked among.
    """

    rank: int
    neighbours: int


class RoundTrip:
    """Ranks targets among their references' neighbours.

    Args:
        retriever: A trained retriever.
        features: Where the tokens that it reads come from.
        remembered: How many images' target embeddings are kept in memory for the next question.
    """

    def __init__(self, retriever: RoundTripRetriever, features: TokenSource, remembered: int = _REMEMBERED) -> None:
        self._retriever, self._features, self._remembered = retriever, features, remembered
        self._embeddings: OrderedDict[str, Tensor] = OrderedDict()

    def ranks(
        self,
        references: Sequence[str],
        texts: Sequence[str],
        targets: Sequence[str],
        neighbours: Sequence[Sequence[str]],
    ) -> list[Placing]:
        """Return the rank of each target among itself and its reference's ``neighbours``.

        A neighbour whose similarity equals the target's counts as better.
        """
        asked = [
            [target, *self._others(reference, target, names)]
            for reference, target, names in zip(references, targets, neighbours, strict=True)
        ]
        self._embed_all([name for names in asked for name in names])
        found = []
        for query, names in zip(self._queries(references, texts), asked, strict=True):
            scores = similarity(query[None], torch.stack([self._embeddings[name] for name in names]).float())[0]
            found.append(Placing(1 + int((scores[1:] >= scores[0]).sum()), len(names) - 1))
        self._forget()
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
        # Always one shape: with it an image's embedding is the same to the last bit whatever else is in the batch,
        # so that a rank does not depend on what was asked before.
        filled = [*names, *([names[-1]] * (_BATCH - len(names)))]
        embedded = self._retriever.embed_image_tokens(self._features.tokens(filled)).to("cpu", torch.float16)
        self._embeddings.update(zip(names, embedded, strict=False))

    def _forget(self) -> None:
        while len(self._embeddings) > self._remembered:
            self._embeddings.popitem(last=False)
