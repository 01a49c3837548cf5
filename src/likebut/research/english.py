"""Small rules of English that the grammar needs: articles, and the slot where a colour goes."""

import re
from collections.abc import Sequence
from random import Random

COLOUR_SLOT = "{colour}"
_LEADING_ARTICLE = re.compile(r"^(?:an?|the|some|its)\s+")


def with_colour(phrase: str, colour: str | None) -> str:
    """Return a noun phrase with ``colour`` in its slot, or with the slot closed."""
    filled = phrase.replace(COLOUR_SLOT, colour or "")
    return fix_articles(" ".join(filled.split()))


def fix_articles(text: str) -> str:
    """Return ``text`` with "a" and "an" as the next word's first letter asks."""
    text = re.sub(r"\b([Aa])n? (?=[aeiou])", r"\1n ", text)
    return re.sub(r"\b([Aa])n (?=[^aeiou\W])", r"\1 ", text)


def without_article(phrase: str) -> str:
    """Return a noun phrase without its article: "a red pot" → "red pot"."""
    return _LEADING_ARTICLE.sub("", phrase)


_ARTICLE = re.compile(r"\b([Aa])n? (?=([A-Za-z]))")


def with_article(text: str) -> str:
    """Return ``text`` with "a" and "an" as the next word's first letter asks."""
    return _ARTICLE.sub(lambda found: f"{found[1]}{'n' if found[2].lower() in 'aeiou' else ''} ", text)


def lower_first(text: str) -> str:
    """Return ``text`` with a small first letter, unless the first word is an abbreviation or stands in capitals."""
    return text[:1].lower() + text[1:] if len(text) < 2 or not text[1].isupper() else text


def join_clauses(clauses: Sequence[str], generator: Random, joins: Sequence[str]) -> str:
    """Return the clauses in one text, each pair joined by one of ``joins``."""
    text = clauses[0] if clauses else ""
    for clause in clauses[1:]:
        text += generator.choice(joins) + clause
    return text


def finish(text: str, generator: Random) -> str:
    """Return a text tidied up; now and then it begins with a capital, as people's do."""
    tidy = re.sub(r"\s+", " ", re.sub(r"\s+,", ",", text)).strip(" ,")
    return tidy[:1].upper() + tidy[1:] if generator.random() < 0.08 else tidy
