"""Fake generator, retriever and vision tokens whose results can be computed by hand.

Image "n" has number n, and all of its tokens are n, so that tokens identify their image.
"""

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from likebut.generator.decoding import Decoding
from likebut.synthesis.filters import Blocklist, Filters, FilterSettings
from likebut.synthesis.mining import MinedPair
from likebut.synthesis.writing import Tools

IMAGES = 64
INSTRUCTION = "How to change from one image to the other image?"


class NumberTokens:
    """Two tokens of width 3 for each image."""

    def tokens(self, names: Sequence[str]) -> Tensor:
        return torch.stack([torch.full((2, 3), float(name)) for name in names]).half()

    def content(self, name: str) -> str:
        return f"content of {name}"

    def knows(self, name: str) -> bool:
        return True


class NumberWriter:
    """Writes "make 3 into 5", or the text of (3, 5) in ``texts``; counts its batches."""

    def __init__(self, texts: dict[tuple[int, int], str] | None = None, seconds: float = 0.0) -> None:
        self.texts = texts or {}
        self.seconds = seconds
        self.batches: list[tuple[int, Decoding]] = []
        self.stop_after: int | None = None

    def write_batch(self, reference_tokens: Tensor, target_tokens: Tensor, decoding: Decoding) -> list[str]:
        if self.stop_after is not None and len(self.batches) >= self.stop_after:
            raise KeyboardInterrupt
        self.batches.append((len(reference_tokens), decoding))
        time.sleep(self.seconds)
        pairs = zip(numbers(reference_tokens), numbers(target_tokens), strict=True)
        return [self._text(first, second, decoding) for first, second in pairs]

    def _text(self, first: int, second: int, decoding: Decoding) -> str:
        drawn = f" with {decoding.seed}" if decoding.method == "nucleus" else ""
        return self.texts.get((first, second), f"make {first} into {second}{drawn}")

    def log_probabilities(self, reference_tokens: Tensor, target_tokens: Tensor, texts: Sequence[str]) -> list[float]:
        return [-float(len(text)) for text in texts]


class NumberRetriever:
    """Embeds image n, and the query "… n", on a half circle; a query is nearest to the image it ends with."""

    def __init__(self) -> None:
        self.embedded: list[int] = []

    def embed_image_tokens(self, image_tokens: Tensor) -> Tensor:
        found = numbers(image_tokens)
        self.embedded += found
        return torch.stack([on_circle(number) for number in found])[:, None]

    def embed_query_tokens(self, image_tokens: Tensor, texts: Sequence[str]) -> Tensor:
        return torch.stack([on_circle(int(text.split()[-1])) for text in texts])


def numbers(tokens: Tensor) -> list[int]:
    return [int(row[0, 0]) for row in tokens]


def on_circle(number: int) -> Tensor:
    angle = torch.tensor(3.0 * number / IMAGES)
    return torch.stack([angle.cos(), angle.sin()])


def pair(reference: int, target: int, around: Sequence[int] = (), around_target: Sequence[int] = ()) -> MinedPair:
    return MinedPair(str(reference), str(target), 0.9, tuple(map(str, around)), tuple(map(str, around_target)))


def chain(length: int) -> list[MinedPair]:
    """Pairs (0, 1), (1, 2), …"""
    return [pair(number, number + 1) for number in range(length)]


def tools(writer: NumberWriter | None = None) -> Tools:
    return Tools(writer or NumberWriter(), NumberTokens())


def filters(words: Sequence[str] = (), **settings: object) -> Filters:
    return Filters(FilterSettings(**settings), Blocklist(words), INSTRUCTION)
