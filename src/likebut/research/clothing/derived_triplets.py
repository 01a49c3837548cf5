"""Triplets derived from the attributes: nobody looked at the pair, what is known of each photograph is compared."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from likebut.data.triplets import Triplet
from likebut.research.clothing.annotations import Photograph
from likebut.research.clothing.attributes import KIND_OF, attributes_of, differences
from likebut.research.clothing.grammar import FreeGrammar, can_be_said, detail_of, write_plain

COMPARED = ("type", "colour", "pattern", "sleeves", "neck", "hood", "closure", "length", "leg", "age")
"""The attributes by which pairs are chosen and targets found; the rest is too seldom known."""

PLAIN, FREE = "plain", "free"
_PLAIN_SHARE = 1 / 3
_DETAIL_SHARE = 0.75  # of the free texts, so that half of all texts have one
_CROSS_KIND_SHARE = 0.1
# How often one, two, three … attributes differ: as in the pairs that have written texts.
_DIFFERENCE_WEIGHTS = (3, 4, 3, 2, 1)
MOST_CHANGES = len(_DIFFERENCE_WEIGHTS)
_UNKNOWN = -1
_MOST_TARGETS = 64


@dataclass(frozen=True)
class _Written:
    text: str
    changes: Mapping[str, str]


class DerivedTriplets:
    """Derives triplets among some photographs.

    Args:
        photographs: Of one split.
        seed: Makes every choice.
        may_be_said: Whether a text may be shown to people; one that may not (prints do swear) gives way to a plain one.
        plain: Whether every text is plain.
        most_changes: In how many attributes a pair differs at most; up to :data:`MOST_CHANGES`.
    """

    def __init__(
        self,
        photographs: Sequence[Photograph],
        seed: int = 0,
        may_be_said: Callable[[str], bool] = lambda _: True,
        plain: bool = False,
        most_changes: int = 3,
    ) -> None:
        self.photographs, self.seed, self._may_be_said = list(photographs), seed, may_be_said
        self._plain_share = 1.0 if plain else _PLAIN_SHARE
        self._weights = _DIFFERENCE_WEIGHTS[:most_changes]
        self.attributes = [attributes_of(photograph) for photograph in photographs]
        self._codes = _codes(self.attributes)
        self._kinds = np.array([KIND_OF[photograph.type] for photograph in photographs])
        self._sayable = np.array([self._can_be_target(values) for values in self.attributes])

    @staticmethod
    def _can_be_target(values: Mapping[str, str]) -> bool:
        return can_be_said("type", values["type"]) and can_be_said("pattern", values["pattern"])

    def write(self, per_image: int) -> Iterator[Triplet]:
        """Yield up to ``per_image`` triplets from each photograph, with forward and reverse text."""
        for index, photograph in enumerate(self.photographs):
            generator = Random(f"{self.seed}/derived/{photograph.image}")
            chosen: dict[int, None] = {}
            apart = self._differences_from(index)
            for _ in range(3 * per_image if self._sayable[index] else 0):
                target = self._choose_target(index, apart, generator) if len(chosen) < per_image else None
                if target is not None:
                    chosen[target] = None
            for position, target in enumerate(chosen):
                yield self._triplet(index, target, position, generator)

    def _differences_from(self, reference: int) -> npt.NDArray[np.int64]:
        """Return in how many attributes, known of both, each photograph differs from one."""
        known = (self._codes != _UNKNOWN) & (self._codes[reference] != _UNKNOWN)
        apart: npt.NDArray[np.int64] = ((self._codes != self._codes[reference]) & known).sum(axis=1)
        return apart

    def _choose_target(self, reference: int, apart: npt.NDArray[np.int64], generator: Random) -> int | None:
        """Return a photograph that differs in few attributes, or None if there is none this time."""
        same_kind = self._kinds == self._kinds[reference]
        candidates = self._sayable & (~same_kind if generator.random() < _CROSS_KIND_SHARE else same_kind)
        candidates[reference] = False
        [count] = generator.choices(range(1, len(self._weights) + 1), self._weights)
        fitting = np.flatnonzero(candidates & (apart == count))
        return int(fitting[generator.randrange(len(fitting))]) if len(fitting) else None

    def _triplet(self, reference: int, target: int, position: int, generator: Random) -> Triplet:
        register = PLAIN if generator.random() < self._plain_share else FREE
        with_detail = register == FREE and generator.random() < _DETAIL_SHARE
        forward = self._text(reference, target, register, with_detail, generator)
        reverse = self._text(target, reference, register, with_detail, generator)
        image = self.photographs[target].image
        return Triplet(
            reference=self.photographs[reference].image,
            target=image,
            modification=forward.text,
            reverse_modification=reverse.text,
            split=self.photographs[reference].split,
            id=f"derived-{self.photographs[reference].image.split('.')[0]}-{position}",
            targets=(image,) if with_detail else self._targets(reference, target),
            meta={"source": "derived", "register": register, "changes": dict(forward.changes)},
        )

    def _text(self, reference: int, target: int, register: str, with_detail: bool, generator: Random) -> _Written:
        before, after = self.attributes[reference], self.attributes[target]
        changes = {name: value for name, value in differences(before, after).items() if name in COMPARED}
        if register == PLAIN:
            return _Written(write_plain(changes), changes)
        photograph = self.photographs[target]
        detail = detail_of(photograph, generator) if with_detail else ""
        caption = photograph.caption if with_detail else ""
        text = FreeGrammar(generator).write(before, after, changes, detail, caption)
        return _Written(text if self._may_be_said(text) else write_plain(changes), changes)

    def _targets(self, reference: int, target: int) -> tuple[str, ...]:
        """Return the target and the photographs that cannot be told from it by the compared attributes."""
        alike = (self._codes == self._codes[target]).all(axis=1)
        alike[[reference, target]] = False
        others = [self.photographs[index].image for index in np.flatnonzero(alike)[: _MOST_TARGETS - 1]]
        return (self.photographs[target].image, *others)


def _codes(attributes: Sequence[Mapping[str, str]]) -> npt.NDArray[np.int16]:
    """Return the compared attributes' values as numbers, -1 where unknown, of shape (photographs, attributes)."""
    codes = np.full((len(attributes), len(COMPARED)), _UNKNOWN, dtype=np.int16)
    for column, name in enumerate(COMPARED):
        number_of = {value: number for number, value in enumerate(sorted({a[name] for a in attributes if name in a}))}
        for row, values in enumerate(attributes):
            codes[row, column] = number_of.get(values.get(name, ""), _UNKNOWN)
    return codes
