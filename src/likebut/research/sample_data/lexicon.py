"""The parser's lexicon: patterns for values, nouns for parts, and adjectives.

It is built from the same ``styles/*.json`` as the grammar, so that a word added there is both written and parsed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from likebut.research.english import COLOUR_SLOT, without_article
from likebut.research.sample_data.attributes import NONE, STYLE_NAMES, DrawingStyle, Part, load_style

_SHADES = r"(?:(?:light|dark|bright|pale|deep|soft|vivid)(?:er)?[ -])?"


@dataclass(frozen=True)
class Noun:
    """A part of the drawing.

    Attributes:
        name: Style and part; the background is shared by all styles.
        kind: The attribute of its kind, if any.
        colour: The attribute of its colour, if any.
        removable: Whether it can be absent.
    """

    name: str
    kind: str | None
    colour: str | None
    removable: bool


@dataclass(frozen=True)
class Mention:
    """A pattern that names a value.

    Attributes:
        pattern: The regular expression; its group ``colour`` matches a colour word inside the phrase.
        noun: The part.
        value: The value of the part's kind.
        is_noun_phrase: Whether a preceding "the" makes it a mention of the reference and not a claim.
    """

    pattern: re.Pattern[str]
    noun: Noun
    value: str
    is_noun_phrase: bool


@dataclass(frozen=True)
class Lexicon:
    """Everything that the parser looks up.

    Attributes:
        mentions: Patterns for values.
        heads: A pattern for each word that names a part, with the parts that it can name.
        adjectives: Word → attribute → the value that it means next to a noun of that attribute's part.
        adjective_pattern: Matches any adjective.
    """

    mentions: tuple[Mention, ...]
    heads: tuple[tuple[re.Pattern[str], tuple[Noun, ...]], ...]
    adjectives: dict[str, dict[str, str]]
    adjective_pattern: re.Pattern[str]


@cache
def load_lexicon() -> Lexicon:
    """Return the joint lexicon of all drawing styles."""
    styles = [load_style(name) for name in STYLE_NAMES]
    adjectives = _adjectives(styles)
    colours = sorted({word for style in styles for word in _colour_words(style)}, key=len, reverse=True)
    colour_pattern = f"{_SHADES}(?P<colour>{'|'.join(map(re.escape, colours))})"
    mentions: list[Mention] = []
    heads: dict[str, dict[str, Noun]] = {}
    for style in styles:
        for name, part in style.parts.items():
            noun = _noun(style, name, part)
            for head in (part.noun, *part.heads):
                heads.setdefault(head, {})[noun.name] = noun
            mentions.extend(_mentions(style, part, noun, colour_pattern))
    patterns = tuple((_compile(re.escape(head)), tuple(nouns.values())) for head, nouns in heads.items())
    words = "|".join(map(re.escape, sorted(adjectives, key=len, reverse=True)))
    return Lexicon(tuple(mentions), patterns, adjectives, _compile(f"(?:{words})"))


def _noun(style: DrawingStyle, name: str, part: Part) -> Noun:
    own_name = name if part.kind is None else f"{style.name}/{name}"
    removable = part.kind is not None and NONE in style.attributes[part.kind]
    return Noun(own_name, part.kind, part.colour, removable)


def _colour_words(style: DrawingStyle) -> Iterator[str]:
    for attribute in {part.colour for part in style.parts.values() if part.colour}:
        for name, value in style.attributes[attribute].items():
            yield from (name, *value.words, *value.held_out, *value.adjectives)


def _adjectives(styles: list[DrawingStyle]) -> dict[str, dict[str, str]]:
    words: dict[str, dict[str, str]] = {}
    for style in styles:
        for part in style.parts.values():
            for attribute in part.attributes():
                for name, value in style.attributes[attribute].items():
                    own = (name, *value.words, *value.held_out) if attribute == part.colour else ()
                    for word in (*own, *value.adjectives):
                        words.setdefault(word, {})[attribute] = name
    return words


def _mentions(style: DrawingStyle, part: Part, noun: Noun, colour_pattern: str) -> Iterator[Mention]:
    if part.kind is None:
        return
    for name, value in style.attributes[part.kind].items():
        for phrase in (*value.words, *value.held_out):
            yield Mention(_compile(_phrase_pattern(phrase, colour_pattern)), noun, name, True)
        for cue in value.cues:
            yield Mention(_compile(cue), noun, name, False)


def _phrase_pattern(phrase: str, colour_pattern: str) -> str:
    words = without_article(phrase).split()
    pieces = [f"(?:{colour_pattern} )?" if word == COLOUR_SLOT else re.escape(word) + " " for word in words]
    return "".join(pieces).rstrip().removesuffix(" ").removesuffix("\\")


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){pattern}(?![\w-])")
