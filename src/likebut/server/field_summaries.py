"""What values a gallery's fields have, for building filters."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from likebut.gallery.fields import Field, FieldType, Value, json_value
from likebut.gallery.gallery import Gallery
from likebut.gallery.store import StoredImage

# Counting values in a million images takes seconds; those of the first images tell what filters are good for.
SAMPLED_IMAGES = 20_000
_MOST_VALUES = 60
_LONGEST_VALUE = 80
_FRESH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class FieldSummary:
    """A field and its values.

    Attributes:
        images: How many of the sampled images have a value.
        values: Each value of a text, or label, with its number of images, the most common first; None if there are
            too many to choose from.
        least: Of a number or date; None if no image has one.
        most: Likewise.
    """

    field: Field
    images: int
    values: tuple[tuple[str, int], ...] | None = None
    least: Any = None
    most: Any = None


class FieldSummaries:
    """The summaries of a gallery's fields, kept for half a minute or until :meth:`forget`."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._lock = threading.Lock()
        self._kept: tuple[FieldSummary, ...] | None = None
        self._until = 0.0

    def all(self) -> tuple[FieldSummary, ...]:
        """Return a summary of each field."""
        with self._lock:
            if self._kept is None or time.monotonic() > self._until:
                self._kept = summarise(self._gallery.fields(), self._gallery.images(SAMPLED_IMAGES))
                self._until = time.monotonic() + _FRESH_SECONDS
            return self._kept

    def forget(self) -> None:
        """Look again next time."""
        self._until = 0.0


def summarise(fields: Sequence[Field], images: Iterable[StoredImage]) -> tuple[FieldSummary, ...]:
    """Return a summary of each field's values in ``images``."""
    found: dict[str, list[Value]] = {field.name: [] for field in fields}
    for image in images:
        for name, value in image.values().items():
            if name in found:
                found[name].append(value)
    return tuple(_summary(field, found[field.name]) for field in fields)


def _summary(field: Field, values: list[Value]) -> FieldSummary:
    match field.type:
        case FieldType.NUMBER | FieldType.DATE:
            comparable = [value for value in values if isinstance(value, float | int | datetime)]
            ends = (min(comparable), max(comparable)) if comparable else (None, None)
            return FieldSummary(field, len(values), None, *(None if end is None else json_value(end) for end in ends))
        case FieldType.BOOLEAN:
            return FieldSummary(field, len(values))
    counts = Counter(text for value in values for text in (value if isinstance(value, tuple) else (str(value),)))
    is_choice = len(counts) <= _MOST_VALUES and all(len(text) <= _LONGEST_VALUE for text in counts)
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return FieldSummary(field, len(values), tuple(ranked) if is_choice else None)
