"""The typed metadata fields of a gallery, and conversion of JSON and CSV values to their types."""

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

# Separates labels where they are stored as one string, so no label may contain it.
LABEL_SEPARATOR = "\x1f"

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?)?")
# A leading zero marks an article number rather than a quantity.
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_BOOLEANS = {"true": True, "false": False}
# Above this float64 no longer represents every integer: such a value is an article number, not a quantity.
_NUMBER_LIMIT = 2**53


class FieldType(StrEnum):
    """The type of a metadata field. The values are part of the storage format and of the HTTP API."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "truth"
    DATE = "date"
    LABELS = "labels"


@dataclass(frozen=True, slots=True)
class Field:
    """A metadata field."""

    name: str
    type: FieldType


BUILT_IN_FIELDS = (
    Field("path", FieldType.TEXT),
    Field("width", FieldType.NUMBER),
    Field("height", FieldType.NUMBER),
    Field("bytes", FieldType.NUMBER),
    Field("taken", FieldType.DATE),
)


def typed(value: Any, type_: FieldType) -> Value:
    """Convert a value from JSON or from a CSV cell to a field type.

    Raises:
        ValueError: The value cannot be converted.
        UnicodeEncodeError: The value is a string that UTF-8 cannot encode.
    """
    match type_:
        case FieldType.LABELS:
            labels = (value,) if isinstance(value, str) else value
            if not isinstance(labels, list | tuple) or not all(isinstance(label, str) for label in labels):
                raise ValueError(value)
            if any(LABEL_SEPARATOR in label for label in labels):
                raise ValueError(value)
            return tuple(require_utf8(label) for label in labels)
        case FieldType.TEXT if isinstance(value, str):
            return require_utf8(value)
        case FieldType.TEXT if isinstance(value, int | float | bool):
            return str(value)
        case FieldType.BOOLEAN if isinstance(value, bool):
            return value
        case FieldType.BOOLEAN if isinstance(value, str) and value.lower() in _BOOLEANS:
            return _BOOLEANS[value.lower()]
        case FieldType.NUMBER:
            return _number(value)
        case FieldType.DATE if isinstance(value, datetime):
            return value
        case FieldType.DATE if isinstance(value, str):
            return _date(value)
    raise ValueError(value)


def require_utf8(text: str) -> str:
    """Return ``text`` if UTF-8 can encode it; a lone surrogate cannot be stored in any file.

    Raises:
        UnicodeEncodeError: UTF-8 cannot encode it (a ValueError).
    """
    text.encode()
    return text


def infer_type(values: Iterable[Any]) -> FieldType:
    """Return the narrowest type that holds every value: labels, boolean, number, date, or else text."""
    known = list(values)
    if any(isinstance(value, list | tuple) for value in known):
        return FieldType.LABELS

    def fits(value: Any, type_: FieldType) -> bool:
        try:
            typed(value, type_)
        except ValueError:
            return False
        return True

    narrow = (FieldType.BOOLEAN, FieldType.NUMBER, FieldType.DATE)
    return next((type_ for type_ in narrow if all(fits(value, type_) for value in known)), FieldType.TEXT)


def infer_fields(rows: Iterable[Mapping[str, Any]], known: Mapping[str, FieldType]) -> list[Field]:
    """Return the fields of ``rows`` that are not in ``known``, with the narrowest types that hold all their values.

    Raises:
        InputError: A field has no name, the name of a built-in field, or a name that UTF-8 cannot encode.
    """
    values: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            if not _is_missing(value):
                values.setdefault(name, []).append(value)
    if "" in values:
        raise InputError("A metadata field has no name.", "Name every column in the first line.", code="unnamed-field")
    for name in values:
        try:
            require_utf8(name)
        except UnicodeEncodeError:
            raise InputError(
                f"The metadata field name {name!r} is not valid UTF-8.", "Rename the field.", code="not-utf8"
            ) from None
    for field in BUILT_IN_FIELDS:
        if field.name in values:
            raise InputError(
                f'The metadata field "{field.name}" has the name of a built-in field.',
                "Rename the field.",
                code="reserved-field-name",
            )
    return [Field(name, infer_type(found)) for name, found in values.items() if name not in known]


def typed_row(row: Mapping[str, Any], types: Mapping[str, FieldType], where: str) -> dict[str, Value]:
    """Return a row of metadata with typed values; missing values (None, NaN) are left out.

    Args:
        row: Field → value.
        types: Field → type, for every field of ``row`` that has a value.
        where: File and line, for the message.

    Raises:
        InputError: A value does not fit the type of its field.
    """
    values: dict[str, Value] = {}
    for name, value in row.items():
        if _is_missing(value):
            continue
        try:
            values[name] = typed(value, types[name])
        except UnicodeEncodeError:
            raise InputError(
                f'{where}: "{name}" is {value!r}, which is not valid UTF-8.', "Change the value.", code="not-utf8"
            ) from None
        except ValueError:
            raise InputError(
                f'{where}: "{name}" is {value!r}, but the gallery stores it as a {types[name].name.lower()}.',
                "Change the value, or rename the field.",
                code="metadata-type-mismatch",
            ) from None
    return values


def infer_and_type(row: Mapping[str, Any], known: Iterable[Field], where: str) -> tuple[list[Field], dict[str, Value]]:
    """Return the fields of one row that are not in ``known``, and the row's typed values.

    Raises:
        InputError: As :func:`infer_fields` and :func:`typed_row`.
    """
    types = {field.name: field.type for field in known}
    new = infer_fields([row], types)
    return new, typed_row(row, types | {field.name: field.type for field in new}, where)


def json_value(value: Value) -> Any:
    """Return a metadata value as JSON: dates in ISO 8601, labels as a list, integral numbers without ".0"."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return list(value) if isinstance(value, tuple) else value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(value)
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError(value)
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(value) from None
    if not abs(number) < _NUMBER_LIMIT:  # also excludes NaN and Inf
        raise ValueError(value)
    return number


def _date(text: str) -> datetime:
    """Parse an ISO 8601 date or date and time; a time zone is converted to UTC and dropped."""
    if not _DATE.fullmatch(text):
        raise ValueError(text)
    moment = datetime.fromisoformat(text)
    try:
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except OverflowError:
        raise ValueError(text) from None  # year 1 or 9999, shifted out of range


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
