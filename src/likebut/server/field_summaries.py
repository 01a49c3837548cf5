"""Summaries of a gallery's metadata fields, from which clients build filters."""

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

# Counting values over a million images takes seconds; a sample suffices to build filters.
SAMPLED_IMAGES = 20_000
_MAX_VALUES = 60
_MAX_VALUE_LENGTH = 80
_FRESH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class FieldSummary:
    """A field and its values.

    Attributes:
        images: Number of sampled images that have a value.
        values: For texts and labels: each value and its number of images, most frequent first; None if there are too
            many to choose from.
        least: For numbers and dates: the smallest value; None if no image has one.
        most: For numbers and dates: the largest value.
    """

    field: Field
    images: int
    values: tuple[tuple[str, int], ...] | None = None
    least: Any = None
    most: Any = None


class FieldSummaries:
    """Cached summaries of a gallery's fields; they expire after 30 seconds or on :meth:`invalidate`."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._lock = threading.Lock()
        self._cached: tuple[FieldSummary, ...] | None = None
        self._expires = 0.0

    def all(self) -> tuple[FieldSummary, ...]:
        """Return a summary of each field."""
        with self._lock:
            if self._cached is None or time.monotonic() > self._expires:
                self._cached = summarise(self._gallery.fields(), self._gallery.images(SAMPLED_IMAGES))
                self._expires = time.monotonic() + _FRESH_SECONDS
            return self._cached

    def invalidate(self) -> None:
        """Discard the cached summaries."""
        self._expires = 0.0


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
    is_choice = len(counts) <= _MAX_VALUES and all(len(text) <= _MAX_VALUE_LENGTH for text in counts)
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return FieldSummary(field, len(values), tuple(ranked) if is_choice else None)
