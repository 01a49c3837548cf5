"""Triplets derived from the attributes of two photographs, without an annotation of the pair."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from likebut.data.triplets import Triplet
from likebut.research.clothing.annotations import Photograph
from likebut.research.clothing.attributes import KIND_OF, attributes_of, differences
from likebut.research.clothing.grammar import FreeGrammar, can_be_requested, detail_of, write_plain

COMPARED = ("type", "colour", "pattern", "sleeves", "neck", "hood", "closure", "length", "leg", "age")
"""The attributes by which pairs and targets are chosen; the others are known too rarely."""

PLAIN, FREE = "plain", "free"
_PLAIN_FRACTION = 1 / 3
_DETAIL_FRACTION = 0.75  # of the free texts, so that half of all texts have one
_CROSS_KIND_FRACTION = 0.1
# Relative frequencies of one, two, three … differing attributes, as in the pairs that have written texts.
_DIFFERENCE_WEIGHTS = (3, 4, 3, 2, 1)
MOST_CHANGES = len(_DIFFERENCE_WEIGHTS)
_UNKNOWN = -1
_MAX_TARGETS = 64


@dataclass(frozen=True)
class _Written:
    text: str
    changes: Mapping[str, str]


class DerivedTriplets:
    """Derives triplets from the photographs of one split.

    Args:
        photographs: The photographs.
        seed: Seed of all randomness.
        is_allowed: Whether a text may be shown; one that may not (prints can be offensive) is replaced by a plain one.
        plain: Whether every text is plain.
        most_changes: Maximum number of differing attributes of a pair; up to :data:`MOST_CHANGES`.
    """

    def __init__(
        self,
        photographs: Sequence[Photograph],
        seed: int = 0,
        is_allowed: Callable[[str], bool] = lambda _: True,
        plain: bool = False,
        most_changes: int = 3,
    ) -> None:
        self.photographs, self.seed, self._is_allowed = list(photographs), seed, is_allowed
        self._plain_fraction = 1.0 if plain else _PLAIN_FRACTION
        self._weights = _DIFFERENCE_WEIGHTS[:most_changes]
        self.attributes = [attributes_of(photograph) for photograph in photographs]
        self._codes = _codes(self.attributes)
        self._kinds = np.array([KIND_OF[photograph.type] for photograph in photographs])
        self._is_target = np.array([self._can_be_target(values) for values in self.attributes])

    @staticmethod
    def _can_be_target(values: Mapping[str, str]) -> bool:
        return can_be_requested("type", values["type"]) and can_be_requested("pattern", values["pattern"])

    def write(self, per_image: int) -> Iterator[Triplet]:
        """Yield up to ``per_image`` triplets for each photograph, with modification and reverse modification text."""
        for index, photograph in enumerate(self.photographs):
            generator = Random(f"{self.seed}/derived/{photograph.image}")
            chosen: dict[int, None] = {}
            distances = self._differences_from(index)
            for _ in range(3 * per_image if self._is_target[index] else 0):
                target = self._choose_target(index, distances, generator) if len(chosen) < per_image else None
                if target is not None:
                    chosen[target] = None
            for position, target in enumerate(chosen):
                yield self._triplet(index, target, position, generator)

    def _differences_from(self, reference: int) -> npt.NDArray[np.int64]:
        """Return (photographs,): the number of attributes, known for both, in which each differs from ``reference``."""
        known = (self._codes != _UNKNOWN) & (self._codes[reference] != _UNKNOWN)
        distances: npt.NDArray[np.int64] = ((self._codes != self._codes[reference]) & known).sum(axis=1)
        return distances

    def _choose_target(self, reference: int, distances: npt.NDArray[np.int64], generator: Random) -> int | None:
        """Return a random photograph at a random small distance, or None if there is none at that distance."""
        same_kind = self._kinds == self._kinds[reference]
        candidates = self._is_target & (~same_kind if generator.random() < _CROSS_KIND_FRACTION else same_kind)
        candidates[reference] = False
        [count] = generator.choices(range(1, len(self._weights) + 1), self._weights)
        fitting = np.flatnonzero(candidates & (distances == count))
        return int(fitting[generator.randrange(len(fitting))]) if len(fitting) else None

    def _triplet(self, reference: int, target: int, position: int, generator: Random) -> Triplet:
        wording = PLAIN if generator.random() < self._plain_fraction else FREE
        with_detail = wording == FREE and generator.random() < _DETAIL_FRACTION
        forward = self._text(reference, target, wording, with_detail, generator)
        reverse = self._text(target, reference, wording, with_detail, generator)
        image = self.photographs[target].image
        return Triplet(
            reference=self.photographs[reference].image,
            target=image,
            modification=forward.text,
            reverse_modification=reverse.text,
            split=self.photographs[reference].split,
            id=f"derived-{self.photographs[reference].image.split('.')[0]}-{position}",
            targets=(image,) if with_detail else self._targets(reference, target),
            meta={"source": "derived", "register": wording, "changes": dict(forward.changes)},
        )

    def _text(self, reference: int, target: int, wording: str, with_detail: bool, generator: Random) -> _Written:
        before, after = self.attributes[reference], self.attributes[target]
        changes = {name: value for name, value in differences(before, after).items() if name in COMPARED}
        if wording == PLAIN:
            return _Written(write_plain(changes), changes)
        photograph = self.photographs[target]
        detail = detail_of(photograph, generator) if with_detail else ""
        caption = photograph.caption if with_detail else ""
        text = FreeGrammar(generator).write(before, after, changes, detail, caption)
        return _Written(text if self._is_allowed(text) else write_plain(changes), changes)

    def _targets(self, reference: int, target: int) -> tuple[str, ...]:
        """Return the target and the photographs that are equal to it in the compared attributes."""
        equal = (self._codes == self._codes[target]).all(axis=1)
        equal[[reference, target]] = False
        others = [self.photographs[index].image for index in np.flatnonzero(equal)[: _MAX_TARGETS - 1]]
        return (self.photographs[target].image, *others)


def _codes(attributes: Sequence[Mapping[str, str]]) -> npt.NDArray[np.int16]:
    """Return codes of the compared attributes' values (photographs, attributes); -1 where unknown."""
    codes = np.full((len(attributes), len(COMPARED)), _UNKNOWN, dtype=np.int16)
    for column, name in enumerate(COMPARED):
        number_of = {value: number for number, value in enumerate(sorted({a[name] for a in attributes if name in a}))}
        for row, values in enumerate(attributes):
            codes[row, column] = number_of.get(values.get(name, ""), _UNKNOWN)
    return codes
