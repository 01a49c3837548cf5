"""English morphology for the grammars: articles, the colour slot of a noun phrase, joining clauses."""

import re
from collections.abc import Sequence
from random import Random

COLOUR_SLOT = "{colour}"

_LEADING_ARTICLE = re.compile(r"^(?:an?|the|some|its)\s+")
_INDEFINITE_ARTICLE = re.compile(r"\b([Aa])n? (?=([A-Za-z]))")
_CAPITALISED_FRACTION = 0.08


def with_colour(phrase: str, colour: str | None) -> str:
    """Return a noun phrase with ``colour`` in its slot, or with the slot removed."""
    filled = phrase.replace(COLOUR_SLOT, colour or "")
    return fix_articles(" ".join(filled.split()))


def fix_articles(text: str) -> str:
    """Return ``text`` with "a" or "an" according to the first letter of the next word."""
    return _INDEFINITE_ARTICLE.sub(lambda found: f"{found[1]}{'n' if found[2].lower() in 'aeiou' else ''} ", text)


def without_article(phrase: str) -> str:
    """Return a noun phrase without its article: "a red pot" → "red pot"."""
    return _LEADING_ARTICLE.sub("", phrase)


def lower_first(text: str) -> str:
    """Return ``text`` with a lower-case first letter, unless the first word is an abbreviation or in capitals."""
    return text[:1].lower() + text[1:] if len(text) < 2 or not text[1].isupper() else text


def join_clauses(clauses: Sequence[str], generator: Random, joins: Sequence[str]) -> str:
    """Return the clauses as one text, each pair joined by a random one of ``joins``."""
    text = clauses[0] if clauses else ""
    for clause in clauses[1:]:
        text += generator.choice(joins) + clause
    return text


def finish(text: str, generator: Random) -> str:
    """Return ``text`` with normalised spaces and commas; a small fraction is capitalised, as in human texts."""
    tidy = re.sub(r"\s+", " ", re.sub(r"\s+,", ",", text)).strip(" ,")
    return tidy[:1].upper() + tidy[1:] if generator.random() < _CAPITALISED_FRACTION else tidy
