"""What sets a photograph apart from others like it, taken from its annotation and fitted into a text."""

import re
from random import Random

from likebut.clothing.annotations import Photograph
from likebut.clothing.wording import lower_first

_TAIL = re.compile(r"(?:\bwith\b|,|\bshowing\b|\bcovered in\b|\bprinted with\b)\s+(.+)$")
_OPENERS = ("", "", "", "", "make it ", "I want ", "like this but ", "is ")
_WORN_WORDS = re.compile(
    r",? (?:lying flat|laid flat|on a hanger|on the floor|hung up|on a bed|folded|spread out)\b[^,]*", re.IGNORECASE
)


def detail_of(photograph: Photograph, generator: Random) -> str:
    """Return a fragment that tells the photograph apart, "" if its annotation has none.

    It is the annotation's ``detail`` or, now and then or for want of one, the end of its caption.
    """
    tail = _TAIL.search(_WORN_WORDS.sub("", photograph.caption))
    fragments = [photograph.detail] * 2 + ([tail[1]] if tail else [])
    return generator.choice([fragment for fragment in fragments if fragment] or [""])


def detail_clause(text: str, detail: str, generator: Random, after_with: bool = False) -> str:
    """Return ``text`` with a detail joined on: "navy, with a round red logo"."""
    detail = lower_first(detail) if not detail.startswith(("I ", "I'")) else detail
    if not text:
        return detail
    if generator.random() < 0.12:
        return f"{detail}, {text}"
    joins = (" and ", ", ") if after_with else (", ", " with ", ", with ", " and ", " featuring ")
    return text + generator.choice(joins) + detail


def short_caption(caption: str, generator: Random) -> str:
    """Return a caption as a modification text: where and how the thing lies is left out, now and then a clause too."""
    text = lower_first(_WORN_WORDS.sub("", caption).strip())
    clauses = text.split(", ")
    if len(clauses) > 2 and generator.random() < 0.5:
        clauses.pop(generator.randrange(1, len(clauses)))
    text = ", ".join(clauses)
    if generator.random() < 0.2 and " with " in text:
        head, tail = text.split(" with ", 1)
        text = f"{head} with {tail}" if generator.random() < 0.5 else f"{tail} on {head}"
    return generator.choice(_OPENERS) + text
