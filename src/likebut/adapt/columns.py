"""Which metadata columns say something of an image, and what: the stated rule.

The rule, for each column by its name and its values (``adapt --text COLUMN`` names columns instead):

1. Numbers, dates, truths, links, paths, codes (one word with a digit, different for nearly every image), and columns
   with one value alone are not texts.
2. Lists, and values with ";" or "|", are tags: each tag is a name.
3. A column whose values have more than 8 words in the median is prose.
4. A column called title, name, label, caption, … is a name; where there is none, the column with the most values is.
5. A further column of short values is an attribute if its values repeat (at most 50, three images each on average),
   else a name.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Any

from likebut.errors import InputError
from likebut.gallery.fields import FieldType, infer_type

NAME_COLUMNS = frozenset(
    "title name label labels product product_name caption captions headline subject species class object "
    "object_name display_name productdisplayname item".split()
)
IGNORED_COLUMNS = frozenset("split id sku url link href path file filename licence license author credit".split())
LONG_TEXT_WORDS = 8
_MOST_ATTRIBUTE_VALUES = 50
_LEAST_IMAGES_PER_VALUE = 3
_CODE_SHARE = 0.8
_SEPARATOR = re.compile(r"\s*[;|]\s*")
_LINK = re.compile(r"\s*(?:https?://|www\.|/|[A-Za-z]:\\)\S*\s*")
_CODE = re.compile(r"(?=\S*\d)\S+")
_MARKUP = re.compile(r"<[^>]{1,200}>")


class Role(StrEnum):
    """What a text is to an image."""

    NAME = "name"
    TAGS = "tags"
    PROSE = "prose"
    ATTRIBUTE = "attribute"


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is read, and as what."""

    name: str
    role: Role


def choose_columns(rows: Sequence[Mapping[str, Any]], wanted: Sequence[str] | None = None) -> list[Column]:
    """Return the columns of ``rows`` to read, by the rule above.

    Args:
        rows: Of the images that are there.
        wanted: The columns to read instead of those that the rule chooses.

    Raises:
        InputError: A column of ``wanted`` does not exist; the message names those that do.
    """
    values = _values_by_column(rows)
    if wanted:
        return [Column(name, _role_of_wanted(values, name)) for name in dict.fromkeys(wanted)]
    roles = {name: _role(name, found) for name, found in values.items()}
    if not any(name.casefold() in NAME_COLUMNS and role is not None for name, role in roles.items()):
        short = [name for name, role in roles.items() if role in (Role.NAME, Role.ATTRIBUTE)]
        if short:
            roles[max(short, key=lambda name: len(set(map(str, values[name]))))] = Role.NAME
    return [Column(name, role) for name, role in roles.items() if role is not None]


def texts_in(value: Any, role: Role) -> list[str]:
    """Return the texts in one cell, without markup."""
    if value is None or value != value:
        return []
    parts = value if isinstance(value, list | tuple) else [value]
    if role is Role.TAGS:
        parts = [piece for part in parts for piece in _SEPARATOR.split(str(part))]
    return [text for part in parts if (text := _MARKUP.sub(" ", str(part)).strip())]


def _values_by_column(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            found = values.setdefault(name, [])
            # A table's gap is NaN, which equals nothing.
            if value not in (None, "", []) and value == value:
                found.append(value)
    return values


def _role_of_wanted(values: Mapping[str, list[Any]], name: str) -> Role:
    if name not in values:
        there = ", ".join(sorted(values)) or "none"
        raise InputError(f'The metadata has no column "{name}".', f"Choose among: {there}.")
    found = values[name]
    if any(isinstance(value, list | tuple) for value in found) or _are_tags(found):
        return Role.TAGS
    return Role.PROSE if _median_words(found) > LONG_TEXT_WORDS else Role.NAME


def _role(name: str, found: Sequence[Any]) -> Role | None:
    if name.casefold() in IGNORED_COLUMNS or len({str(value) for value in found}) < 2:
        return None
    type_ = infer_type(found)
    if type_ is FieldType.LABELS:
        texts = [text for value in found for text in (value if isinstance(value, list | tuple) else [value])]
        return Role.PROSE if _median_words(texts) > LONG_TEXT_WORDS else Role.TAGS
    if type_ is not FieldType.TEXT or _are_codes(found):
        return None
    if _are_tags(found):
        return Role.TAGS
    if _median_words(found) > LONG_TEXT_WORDS:
        return Role.PROSE
    if name.casefold() in NAME_COLUMNS:
        return Role.NAME
    distinct = len({str(value) for value in found})
    repeats = distinct <= _MOST_ATTRIBUTE_VALUES and len(found) >= _LEAST_IMAGES_PER_VALUE * distinct
    return Role.ATTRIBUTE if repeats else Role.NAME


def _median_words(values: Sequence[Any]) -> float:
    return median(len(str(value).split()) for value in values) if values else 0.0


def _are_tags(values: Sequence[Any]) -> bool:
    return bool(values) and sum(bool(re.search(r"[;|]", str(value))) for value in values) > 0.3 * len(values)


def _are_codes(values: Sequence[Any]) -> bool:
    texts = [str(value) for value in values]
    if sum(bool(_LINK.fullmatch(text)) for text in texts) > _CODE_SHARE * len(texts):
        return True
    codes = sum(bool(_CODE.fullmatch(text)) for text in texts)
    most = Counter(texts).most_common(1)[0][1] if texts else 0
    return codes > _CODE_SHARE * len(texts) and most < 3
