"""Captions of single pictures: "a cactus in a blue pot with closed eyes", complete or partial."""

import re
from collections.abc import Mapping
from random import Random

from likebut.research.english import fix_articles
from likebut.research.sample_data.attributes import NONE, load_style
from likebut.research.sample_data.grammar import Grammar, load_phrases

_SLOT = re.compile(r"{(\w+)}")
_MOST_TRIES = 40
_ABSENCE_SHARE = 0.3


def write_captions(style_name: str, values: Mapping[str, str], generator: Random, count: int) -> list[str]:
    """Return up to ``count`` different captions.

    Args:
        style_name: The drawing style.
        values: Attribute → value of what can be seen and said (:attr:`Scene.spoken`).
        generator: Makes every choice.
        count: How many captions are wanted.
    """
    captions: dict[str, None] = {}
    for _ in range(_MOST_TRIES):
        if len(captions) < count:
            captions[_write_caption(style_name, values, generator)] = None
    return list(captions)


def _write_caption(style_name: str, values: Mapping[str, str], generator: Random) -> str:
    style = load_style(style_name)
    grammar = Grammar(style, generator)

    def is_absent(part_name: str) -> bool:
        kind = style.parts[part_name].kind
        return kind is not None and values[kind] == NONE

    def fill(template: str) -> str:
        return _SLOT.sub(lambda slot: grammar.noun_phrase(style.parts[slot[1]], values), template)

    openings = [text for text in style.captions.openings if not any(map(is_absent, _SLOT.findall(text)))]
    opening = generator.choice(openings)
    details = style.captions.details
    left = [
        name for name in details if name not in _SLOT.findall(opening) and _worth_saying(is_absent(name), generator)
    ]
    text = fill(opening)
    said_with = "with" in opening
    for name in generator.sample(left, generator.randint(0, len(left))):
        full, plain = details[name]
        joins_on = said_with and full.startswith("with") and generator.random() < 0.7
        text += fill(f" and {plain}" if joins_on else f"{',' if said_with else ''} {full}")
        said_with = full.startswith("with")
    return fix_articles(generator.choice(load_phrases().caption_frames).format(text))


def _worth_saying(absent: bool, generator: Random) -> bool:
    return not absent or generator.random() < _ABSENCE_SHARE
