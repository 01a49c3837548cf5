"""The typed metadata fields of a gallery, and how values from a CSV or JSONL file get their types."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from likebut.errors import InputError

Value = str | float | bool | datetime | tuple[str, ...]
Metadata = Mapping[str, Value]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?)?")
# A leading zero marks an article number, not a quantity.
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_TRUTHS = {"true": True, "false": False}
# Separates labels where they are stored as one text, so no label may hold it.
LABEL_SEPARATOR = "\x1f"


class FieldType(StrEnum):
    """What a metadata field holds."""

    TEXT = "text"
    NUMBER = "number"
    TRUTH = "truth"
    DATE = "date"
    LABELS = "labels"


@dataclass(frozen=True, slots=True)
class Field:
    """A metadata field by name and type."""

    name: str
    type: FieldType


BUILT_IN_FIELDS = (
    Field("path", FieldType.TEXT),
    Field("width", FieldType.NUMBER),
    Field("height", FieldType.NUMBER),
    Field("bytes", FieldType.NUMBER),
    Field("taken", FieldType.DATE),
)


def parse_date(text: str) -> datetime:
    """Return a date or a date and time in ISO 8601; a time zone is converted to UTC and dropped.

    Raises:
        ValueError: The text is no such date.
    """
    if not _DATE.fullmatch(text):
        raise ValueError(text)
    moment = datetime.fromisoformat(text)
    try:
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except OverflowError:
        raise ValueError(text) from None  # the year 1 or 9999, moved across its border


def typed(value: Any, type_: FieldType) -> Value:
    """Return ``value``, from JSON or from a CSV cell, as ``type_``.

    Raises:
        ValueError: It cannot be read as that.
        UnicodeEncodeError: It is a text, but one that UTF-8 cannot hold.
    """
    if type_ is FieldType.LABELS:
        return _labels(value)
    if type_ is FieldType.TEXT and isinstance(value, str | int | float | bool):
        return require_utf8(value) if isinstance(value, str) else str(value)
    if type_ is FieldType.TRUTH:
        return _truth(value)
    if type_ is FieldType.NUMBER:
        return _number(value)
    if type_ is FieldType.DATE:
        return value if isinstance(value, datetime) else parse_date(_text(value))
    raise ValueError(value)


def _labels(value: Any) -> tuple[str, ...]:
    labels = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else None
    if labels is None or not all(isinstance(label, str) and LABEL_SEPARATOR not in label for label in labels):
        raise ValueError(value)
    return tuple(require_utf8(label) for label in labels)


def require_utf8(text: str) -> str:
    """Return a text that UTF-8 can hold: not one with half a surrogate pair, which no file and no engine takes.

    Raises:
        UnicodeEncodeError: It cannot. (This is a ValueError.)
    """
    text.encode()
    return text


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUTHS:
        return _TRUTHS[value.lower()]
    raise ValueError(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(value)
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError(value)
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(value) from None
    # Beyond this a float drops digits: an article number, not a quantity. Infinities are beyond it too.
    if not abs(number) < 2**53:  # NaN, which compares with nothing, is none either
        raise ValueError(value)
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value


def infer_type(values: Iterable[Any]) -> FieldType:
    """Return the narrowest type that holds every value: truth, number, date, labels, or else text."""
    known = list(values)
    if any(isinstance(value, list | tuple) for value in known):
        return FieldType.LABELS
    for type_ in (FieldType.TRUTH, FieldType.NUMBER, FieldType.DATE):
        if all(_fits(value, type_) for value in known):
            return type_
    return FieldType.TEXT


def _fits(value: Any, type_: FieldType) -> bool:
    try:
        typed(value, type_)
    except ValueError:
        return False
    return True


def _is_absent(value: Any) -> bool:
    """Return whether there is no value: None, or the NaN that tables have for a gap."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def infer_fields(rows: Iterable[Mapping[str, Any]], known: Mapping[str, FieldType]) -> list[Field]:
    """Return the fields of ``rows`` that ``known`` lacks, with the types that hold all their values.

    Raises:
        InputError: A field has no name, that of a built-in one, or one that UTF-8 cannot hold.
    """
    values: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            if not _is_absent(value):
                values.setdefault(name, []).append(value)
    if "" in values:
        raise InputError("A metadata field has no name.", "Give every column of the first line a name.")
    for name in values:
        try:
            require_utf8(name)
        except UnicodeEncodeError:
            raise InputError(f"The name {name!r} of a metadata field is not UTF-8.", "Change the name.") from None
    for field in BUILT_IN_FIELDS:
        if field.name in values:
            raise InputError(
                f'The metadata field "{field.name}" has the name of one that every image has.',
                "Give the field another name.",
            )
    return [Field(name, infer_type(found)) for name, found in values.items() if name not in known]


def typed_row(row: Mapping[str, Any], types: Mapping[str, FieldType], where: str) -> dict[str, Value]:
    """Return a row of metadata with its values typed; fields without a value are left out.

    Args:
        row: Field → value.
        types: Of every field in ``row``.
        where: File and line, for the message.

    Raises:
        InputError: A value does not fit the field's type.
    """
    values: dict[str, Value] = {}
    for name, value in row.items():
        if _is_absent(value):
            continue
        try:
            values[name] = typed(value, types[name])
        except UnicodeEncodeError:
            raise InputError(f'{where}: "{name}" is {value!r}, which is not UTF-8.', "Change that value.") from None
        except ValueError:
            raise InputError(
                f'{where}: "{name}" is {value!r}, but the gallery holds it as a {types[name].value}.',
                "Change that value, or give the field another name.",
            ) from None
    return values


def infer_and_type(row: Mapping[str, Any], known: Iterable[Field], where: str) -> tuple[list[Field], dict[str, Value]]:
    """Return the fields of one row that ``known`` lacks, and the row's values typed; see the two functions above."""
    types = {field.name: field.type for field in known}
    new = infer_fields([row], types)
    return new, typed_row(row, types | {field.name: field.type for field in new}, where)


def json_value(value: Value) -> Any:
    """Return a metadata value as JSON can hold it: dates in ISO 8601, labels as a list, whole numbers without ".0"."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return list(value) if isinstance(value, tuple) else value
