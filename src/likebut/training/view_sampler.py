"""Sampling of augmented views and of mined hard negatives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from likebut.data.triplets import Triplet
from likebut.data.views import view_name
from likebut.features.neighbours import frozen_vectors
from likebut.features.token_source import TokenSource

_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class ViewSampler:
    """How a batch samples among the views and the neighbours of each image.

    Attributes:
        views: Number of cached views of each image, the image itself included.
        mined_hard_negatives: Image → its nearest neighbours, from which a hard negative is sampled; empty for none.
    """

    views: int = 1
    mined_hard_negatives: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def tokens(self, source: TokenSource, names: Sequence[str], generator: np.random.Generator) -> Tensor:
        """Return the tokens of one random view of each of B images: (B, T, W)."""
        if self.views == 1:
            return source.tokens(names)
        sampled = generator.integers(self.views, size=len(names)).tolist()
        return source.tokens([view_name(name, view) for name, view in zip(names, sampled, strict=True)])

    def sample_mined_hard_negatives(self, triplets: Sequence[Triplet], generator: np.random.Generator) -> list[str]:
        """Return for each triplet a neighbour of its target that is not correct for it; none if none were mined.

        If all neighbours are correct, the target itself is returned: processes must gather equally many negatives, and
        a negative with the target's id is masked.
        """
        if not self.mined_hard_negatives:
            return []
        candidates = [
            [name for name in self.mined_hard_negatives[triplet.target] if name not in triplet.targets]
            or [triplet.target]
            for triplet in triplets
        ]
        return [str(generator.choice(names)) for names in candidates]


PLAIN = ViewSampler()


def find_mined_hard_negatives(source: TokenSource, names: Sequence[str], count: int) -> dict[str, tuple[str, ...]]:
    """Return for each image the ``count`` nearest images of other content, by the cosine of their frozen features.

    Args:
        source: Provides the tokens.
        names: The images.
        count: Neighbours per image; 0 returns an empty mapping.
    """
    if not count:
        return {}
    contents = {source.content(name): name for name in sorted(names, reverse=True)}
    distinct = sorted(contents.values())
    vectors = frozen_vectors(source, distinct)
    number_of = {source.content(name): number for number, name in enumerate(distinct)}
    nearest = torch.cat([_nearest(vectors, start, count) for start in range(0, len(distinct), _ROWS_AT_ONCE)]).tolist()
    return {name: tuple(distinct[row] for row in nearest[number_of[source.content(name)]]) for name in names}


def _nearest(vectors: Tensor, start: int, count: int) -> Tensor:
    part = vectors[start : start + _ROWS_AT_ONCE]
    similarities = part @ vectors.T
    rows = torch.arange(len(part))
    similarities[rows, rows + start] = -torch.inf
    return similarities.topk(min(count, len(vectors) - 1), dim=1).indices
