"""The ground truth of the sample benchmark: for a reference and a target, all targets and hard negatives of a split."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt

from likebut.research.sample_data.attributes import Scene, changes_between, load_style
from likebut.research.sample_data.rendering import SIDE, Pixels, differ, draw, identical_drawings

Codes = npt.NDArray[np.int16]

_HIDDEN = -1
_WRONG_IMAGES = 3


class SceneTable:
    """The scenes of one style as an array of codes, so that one query compares thousands of them at once.

    Args:
        style: The style's name.
        scenes: Name → scene.
    """

    def __init__(self, style: str, scenes: Mapping[str, Scene]) -> None:
        attributes = load_style(style).attributes
        self._columns = list(attributes)
        self._code_of = {
            name: {value: code for code, value in enumerate(choices)} for name, choices in attributes.items()
        }
        self.names = np.array(list(scenes), dtype=object)
        # One row for each scene, one column for each attribute.
        self._codes: Codes = np.stack([self._row(scene.attributes) for scene in scenes.values()])

    def between(self, before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
        """Return the scenes in which every attribute has the value of ``before`` or that of ``after``."""
        codes = self._codes
        fits = (codes == _HIDDEN) | (codes == self._row(before)) | (codes == self._row(after))
        return set(self.names[fits.all(axis=1)])

    def with_values(self, values: Mapping[str, str]) -> npt.NDArray[np.bool_]:
        """Return (scenes,) bool: whether a scene has all of ``values``."""
        wanted = self._row(values)
        return np.asarray(((wanted == _HIDDEN) | (self._codes == wanted)).all(axis=1))

    def distances(self, values: Mapping[str, str]) -> npt.NDArray[np.int64]:
        """Return (scenes,): the number of a scene's attributes that differ from ``values``."""
        return np.asarray(((self._codes != _HIDDEN) & (self._codes != self._row(values))).sum(axis=1))

    def _row(self, values: Mapping[str, str]) -> Codes:
        codes = [
            self._code_of[name].get(values[name], _HIDDEN) if name in values else _HIDDEN for name in self._columns
        ]
        return np.array(codes, dtype=np.int16)


@dataclass(frozen=True)
class LabelledQuery:
    """A reference, a target and their labels; images by name."""

    reference: str
    target: str
    targets: tuple[str, ...]
    subset: tuple[str, ...]
    hard_negatives: tuple[str, ...]


@dataclass
class SplitTruth:
    """The labels of one split.

    Args:
        folder: The folder of the images.
        families: The split's families: name → scene.

    Attributes:
        scenes: Name → scene.
        identical: Name → the images that do not differ visibly from it.
    """

    folder: Path
    families: Sequence[Mapping[str, Scene]]
    scenes: dict[str, Scene] = field(init=False)
    identical: dict[str, set[str]] = field(init=False)
    _by_content: dict[tuple[object, ...], list[str]] = field(init=False)
    _tables: dict[str, SceneTable] = field(init=False)

    def __post_init__(self) -> None:
        """Compare the images and index the scenes."""
        self.scenes = {name: scene for family in self.families for name, scene in family.items()}
        names = list(self.scenes)
        found = identical_drawings([self.folder / name for name in names])
        self.identical = {name: {names[other] for other in others} for name, others in zip(names, found, strict=True)}
        self._by_content = {}
        by_style: dict[str, dict[str, Scene]] = {}
        for name, scene in self.scenes.items():
            self._by_content.setdefault(_content(scene), []).append(name)
            by_style.setdefault(scene.style, {})[name] = scene
        self._tables = {style: SceneTable(style, scenes) for style, scenes in by_style.items()}

    def showing(self, scene: Scene) -> set[str]:
        """Return the images with the content of ``scene`` in any look, and their visually identical ones."""
        exact = self._by_content.get(_content(scene), [])
        return {*exact, *(other for name in exact for other in self.identical[name])}

    def is_visible(self, reference: str, target: str) -> bool:
        """Return whether every single change from one image to the other is visible."""
        before, after = self.scenes[reference], self.scenes[target]
        changed = [name for name in changes_between(before.spoken, after.spoken) if name in before.spoken]
        if target in self.identical[reference] or before.spoken == after.spoken:
            return False
        new_values = dict(after.values)
        steps = [before.replace({name: new_values[name]}) for name in changed]
        return len(steps) < 2 or all(self._step_is_visible(reference, step) for step in steps)

    def query(self, family: Mapping[str, Scene], reference: str, target: str) -> LabelledQuery:
        """Return the query from ``reference`` to ``target`` with all its targets and hard negatives."""
        excluded = {reference, *self.identical[reference]}
        targets = self.showing(self.scenes[target]) - excluded
        negatives = self._partial_edits(reference, target) | self._edits_of_other_images(reference, target)
        negatives |= self._unedited(family, reference, target)
        return LabelledQuery(
            reference,
            target,
            (target, *sorted(targets - {target})),
            tuple(name for name in family if name != reference),
            tuple(sorted(negatives - targets - {reference})),
        )

    def choose_pairs(self, family: Mapping[str, Scene], count: int, generator: Random) -> list[tuple[str, str]]:
        """Return up to ``count`` (reference, target) pairs of a family, with the images used about equally often."""
        pairs = [(one, other) for one in family for other in family if one != other]
        generator.shuffle(pairs)
        as_target, as_reference = Counter[str](), Counter[str]()
        chosen: list[tuple[str, str]] = []
        while pairs and len(chosen) < count:
            pair = min(pairs, key=lambda names: 2 * as_target[names[1]] + as_reference[names[0]])
            pairs.remove(pair)
            if self.is_visible(*pair):
                chosen.append(pair)
                as_reference[pair[0]] += 1
                as_target[pair[1]] += 1
        return chosen

    def _unedited(self, family: Mapping[str, Scene], reference: str, target: str) -> set[str]:
        """Return the family's images that have none of the changes."""
        changed = changes_between(self.scenes[reference].spoken, self.scenes[target].spoken)
        return {name for name, scene in family.items() if not changed.items() & scene.attributes.items()}

    def _partial_edits(self, reference: str, target: str) -> set[str]:
        """Return the images that show the reference with some of the changes, or with none (its twins)."""
        before, after = self.scenes[reference], self.scenes[target]
        return self._tables[before.style].between(before.attributes, after.attributes) - {reference}

    def _edits_of_other_images(self, reference: str, target: str) -> set[str]:
        """Return the images nearest to the target that have all changes, but applied to another image."""
        after = self.scenes[target]
        changed = changes_between(self.scenes[reference].spoken, after.spoken)
        table = self._tables[after.style]
        distances = table.distances(after.attributes)
        fits = table.with_values(changed) & (distances > 0)
        others = sorted(zip(distances[fits].tolist(), table.names[fits], strict=True))
        return {name for _, name in others[:_WRONG_IMAGES]}

    def _step_is_visible(self, reference: str, step: Scene) -> bool:
        for name in self._by_content.get(_content(step), []):
            if self.scenes[name].look == step.look:
                return name not in self.identical[reference]
        return differ(_small_drawing(self.scenes[reference]), _small_drawing(step))


def _content(scene: Scene) -> tuple[object, ...]:
    return (scene.style, *scene.attributes.items())


@lru_cache(maxsize=256)
def _small_drawing(scene: Scene) -> Pixels:
    return np.asarray(draw(scene, SIDE // 2))
