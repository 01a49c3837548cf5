"""Triplets, tokens and a tokenizer whose batches can be computed by hand."""

from collections.abc import Sequence

import torch
from torch import Tensor

from likebut.data.triplets import Triplet
from likebut.models.tokenizers import TextBatch


class NamedTokens:
    """Tokens that are the number in an image's name; "twin-3" has the content of "3"."""

    def content(self, name: str) -> str:
        return name.removeprefix("twin-")

    def knows(self, name: str) -> bool:
        return True

    def tokens(self, names: Sequence[str]) -> Tensor:
        return torch.tensor([float(self.content(name)) for name in names]).view(-1, 1, 1).half()


class WordLengths:
    """A tokenizer whose ids are the lengths of the words."""

    vocabulary_size = 100

    def __call__(self, texts: Sequence[str], max_length: int = 32) -> TextBatch:
        rows = [[len(word) for word in text.split()][:max_length] for text in texts]
        longest = max(len(row) for row in rows)
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        return TextBatch(ids, (ids > 0).long())


def triplets(count: int, reverse: bool = True) -> list[Triplet]:
    return [
        Triplet(str(n), str(n + 100), "x" * (n + 1), reverse_modification="y" * (n + 2) if reverse else None)
        for n in range(count)
    ]
