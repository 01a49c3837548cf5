"""What makes few photographs teach more: further views of each, and look-alikes as wrong candidates."""

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
    """How a batch chooses among what there is of each image.

    Attributes:
        views: How many views of each image there are, itself among them.
        mined_hard_negatives: Image → its nearest neighbours, from which a hard negative is sampled; none are if empty.
    """

    views: int = 1
    mined_hard_negatives: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def tokens(self, source: TokenSource, names: Sequence[str], generator: np.random.Generator) -> Tensor:
        """Return the (B, T, W) tokens of one view of each of the images called ``names``."""
        if self.views == 1:
            return source.tokens(names)
        drawn = generator.integers(self.views, size=len(names)).tolist()
        return source.tokens([view_name(name, view) for name, view in zip(names, drawn, strict=True)])

    def sample_mined_hard_negatives(self, triplets: Sequence[Triplet], generator: np.random.Generator) -> list[str]:
        """Return for each triplet a look-alike of its target that is not right as well, where look-alikes are known.

        Where all that look like it are right, the target itself stands in: processes gather equally many, and what has
        the target's id is masked.
        """
        if not self.mined_hard_negatives:
            return []
        wrong = [
            [name for name in self.mined_hard_negatives[triplet.target] if name not in triplet.targets]
            or [triplet.target]
            for triplet in triplets
        ]
        return [str(generator.choice(names)) for names in wrong]


PLAIN = ViewSampler()


def find_mined_hard_negatives(source: TokenSource, names: Sequence[str], count: int) -> dict[str, tuple[str, ...]]:
    """Return for each image the ``count`` others, of another content, that are nearest in the frozen features.

    Args:
        source: Where the tokens are.
        names: The images, of which there are more than ``count``.
        count: How many; 0 finds none.
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
