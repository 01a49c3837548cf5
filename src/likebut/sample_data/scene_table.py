"""All scenes of one drawing style as a table of numbers, so that one question looks at thousands of them at once."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from likebut.sample_data.attributes import Scene, load_style

_HIDDEN = -1

Codes = npt.NDArray[np.int16]


class SceneTable:
    """Scenes of one style.

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
        # One row a scene, one column an attribute.
        self._codes: Codes = np.stack([self._row(scene.attributes) for scene in scenes.values()])

    def between(self, before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
        """Return the scenes each of whose attributes has the value of ``before`` or that of ``after``."""
        codes = self._codes
        fits = (codes == _HIDDEN) | (codes == self._row(before)) | (codes == self._row(after))
        return set(self.names[fits.all(axis=1)])

    def with_values(self, values: Mapping[str, str]) -> npt.NDArray[np.bool_]:
        """Return (scenes,) bool: which have all of ``values``."""
        wanted = self._row(values)
        return np.asarray(((wanted == _HIDDEN) | (self._codes == wanted)).all(axis=1))

    def distances(self, values: Mapping[str, str]) -> npt.NDArray[np.int64]:
        """Return (scenes,): how many of each scene's attributes are not as in ``values``."""
        return np.asarray(((self._codes != _HIDDEN) & (self._codes != self._row(values))).sum(axis=1))

    def _row(self, values: Mapping[str, str]) -> Codes:
        codes = [
            self._code_of[name].get(values[name], _HIDDEN) if name in values else _HIDDEN for name in self._columns
        ]
        return np.array(codes, dtype=np.int16)
