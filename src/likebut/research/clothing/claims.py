"""Parsing texts about clothing into the colours, types and patterns that they claim.

Words and their possible values are stored in ``claims.json``. A word with several values ("top", "blue") claims any one
of them; navy, black and dark grey are always distinct.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict

from likebut.research.clothing.attributes import NONE


class _Words(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    type: dict[str, tuple[str, ...]]
    colour: dict[str, tuple[str, ...]]
    pattern: dict[str, tuple[str, ...]]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """A word of a text: its attribute, and the values that it may mean."""

    attribute: str
    values: frozenset[str]


# Up to the next boundary, what follows is negated or describes the reference.
_NEGATION = re.compile(
    r"\b(?:no|not|without|minus|lose|loses|losing|remove|drop|ditch|instead of|rather than|in place of|unlike|never"
    r"|less)\b"
)
# Likewise, up to the connector that introduces the new value.
_REPLACEMENT = re.compile(r"\b(?:swap|trade|exchange|replace|change|switch|turn|from)\b")
_CONNECTOR = re.compile(r"\b(?:for|with|by|to|into)\b")
_BOUNDARY = re.compile(r"[,;.:!?()]|\b(?:and|but|with|just|plus)\b")


def claims_of(text: str) -> set[Claim]:
    """Return the claims of a text about its target; negated words and old values claim nothing."""
    lowered = text.lower().replace("’", "'")
    excluded = list(_excluded(lowered))
    return {
        claim
        for found in _pattern().finditer(lowered)
        if (claim := _meaning(found[0])) and not any(start <= found.start() < end for start, end in excluded)
    }


def new_claims(text: str, reference: Mapping[str, str]) -> set[Claim]:
    """Return the claims of a text that differ from ``reference`` (attribute → value).

    Naming the reference's own type, pattern or dominant colour claims nothing.
    """
    return {claim for claim in claims_of(text) if reference.get(claim.attribute) not in claim.values}


def colours_of(values: Mapping[str, str]) -> set[str]:
    """Return every colour of a photograph."""
    names = ("colour", "second colour", "third colour")
    return {values[name] for name in names if values.get(name, NONE) != NONE}


def _excluded(text: str) -> Iterator[tuple[int, int]]:
    for marker in _NEGATION.finditer(text):
        yield marker.start(), _end(_BOUNDARY, text, marker.end())
    for marker in _REPLACEMENT.finditer(text):
        stop = _CONNECTOR.search(text, marker.end())
        if stop and stop.start() <= _end(re.compile(r"[,;.]"), text, marker.end()):
            yield marker.start(), stop.start()


def _end(boundary: re.Pattern[str], text: str, start: int) -> int:
    found = boundary.search(text, start)
    return found.start() if found else len(text)


@cache
def _words() -> _Words:
    return _Words.model_validate_json(files("likebut.research.clothing").joinpath("claims.json").read_text("utf-8"))


@cache
def _pattern() -> re.Pattern[str]:
    words = _words()
    known = [*words.type, *words.colour, *words.pattern, *words.ignored]
    # Longer phrases first, so that "cap sleeves" is not a cap and "off-white" not white.
    alternatives = "|".join(re.escape(word) for word in sorted(known, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)")


def _meaning(word: str) -> Claim | None:
    words = _words()
    for attribute, meanings in (("type", words.type), ("colour", words.colour), ("pattern", words.pattern)):
        if word in meanings:
            return Claim(attribute, frozenset(meanings[word]))
    return None
