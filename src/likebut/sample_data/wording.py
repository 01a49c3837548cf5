"""Small rules of English that the grammar needs: articles, and the slot where a colour goes."""

import re

COLOUR_SLOT = "{colour}"
_ARTICLE = re.compile(r"^(?:an?|the|some|its)\s+")


def with_colour(phrase: str, colour: str | None) -> str:
    """Return a noun phrase with ``colour`` in its slot, or with the slot closed."""
    filled = phrase.replace(COLOUR_SLOT, colour or "")
    return mend_articles(" ".join(filled.split()))


def mend_articles(text: str) -> str:
    """Return ``text`` with "a" and "an" as the next word's first letter asks."""
    text = re.sub(r"\b([Aa])n? (?=[aeiou])", r"\1n ", text)
    return re.sub(r"\b([Aa])n (?=[^aeiou\W])", r"\1 ", text)


def without_article(phrase: str) -> str:
    """Return a noun phrase without its article: "a red pot" → "red pot"."""
    return _ARTICLE.sub("", phrase)
