"""Captions of single drawings: "a cactus in a blue pot with closed eyes", complete or partial."""

import re
from collections.abc import Mapping
from random import Random

from likebut.research.english import fix_articles
from likebut.research.sample_data.attributes import NONE, load_style
from likebut.research.sample_data.grammar import Grammar, load_phrases

_SLOT = re.compile(r"{(\w+)}")
_MAX_TRIES = 40
_ABSENCE_FRACTION = 0.3


def write_captions(style_name: str, values: Mapping[str, str], generator: Random, count: int) -> list[str]:
    """Return up to ``count`` distinct captions.

    Args:
        style_name: The drawing style.
        values: Attribute → value (:attr:`Scene.spoken`).
        generator: Source of randomness.
        count: Number of captions.
    """
    captions: dict[str, None] = {}
    for _ in range(_MAX_TRIES):
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
    # Absent parts are mentioned in some captions only.
    mentioned = [
        name
        for name in details
        if name not in _SLOT.findall(opening) and (not is_absent(name) or generator.random() < _ABSENCE_FRACTION)
    ]
    text = fill(opening)
    has_with = "with" in opening
    for name in generator.sample(mentioned, generator.randint(0, len(mentioned))):
        full, plain = details[name]
        continues_with = has_with and full.startswith("with") and generator.random() < 0.7
        text += fill(f" and {plain}" if continues_with else f"{',' if has_with else ''} {full}")
        has_with = full.startswith("with")
    return fix_articles(generator.choice(load_phrases().caption_frames).format(text))
