"""Captions of single photographs: the annotation's, and others composed from the attributes."""

from collections.abc import Callable, Mapping
from random import Random

from likebut.research.clothing.annotations import Photograph
from likebut.research.clothing.attributes import attributes_of
from likebut.research.clothing.grammar import FreeGrammar, Value, can_be_requested, detail_of, load_phrases
from likebut.research.english import finish, fix_articles, join_clauses

_SPOKEN = ("pattern", "sleeves", "neck", "hood", "closure", "length", "leg", "fit", "waist", "heel", "height", "brim")
_FRAMES = ("{}", "{}", "{}", "a photo of {}", "this is {}", "{} lying flat", "picture of {}", "there is {}")
_MAX_TRIES = 12


def captions_of(
    photograph: Photograph, generator: Random, count: int, is_allowed: Callable[[str], bool] = lambda _: True
) -> list[str]:
    """Return the photograph's caption and up to ``count`` composed ones, all distinct.

    Args:
        photograph: The photograph.
        generator: Source of randomness. The number of draws depends on the captions: use one generator for each
            photograph.
        count: Number of composed captions.
        is_allowed: Whether a caption may be shown; captions that may not (prints can be offensive) are left out.
    """
    captions: dict[str, None] = dict.fromkeys([photograph.caption] if is_allowed(photograph.caption) else [])
    wanted, values = len(captions) + count, attributes_of(photograph)
    for _ in range(_MAX_TRIES):
        if len(captions) == wanted:
            break
        text = _compose(photograph, values, generator)
        if is_allowed(text):
            captions[text] = None
    return list(captions)


def _compose(photograph: Photograph, values: Mapping[str, str], generator: Random) -> str:
    """Return "a navy and white striped tee with long sleeves, small anchor on the chest"."""
    phrases = load_phrases()
    noun = phrases.types.get(photograph.type)
    if noun is None:
        return finish(f"{photograph.colours[0]}, {photograph.cut}", generator)
    before = ["kids'"] if photograph.kids and generator.random() < 0.7 else []
    if generator.random() < 0.9:
        before.append(FreeGrammar(generator).colour(values, both=generator.random() < 0.5))
    withs: list[str] = []
    alone: list[str] = []
    for name in _SPOKEN:
        value = values.get(name, "")
        if can_be_requested(name, value) and (name, value) != ("hood", "none") and generator.random() < 0.55:
            _add_phrase(phrases.values[name][value], before, withs, alone, generator)
    text = " ".join([*before, generator.choice(noun.nouns)])
    if withs:
        text += f" with {join_clauses(withs, generator, (' and ', ', '))}"
    if generator.random() < 0.5:
        alone.append(detail_of(photograph, generator))
    text = ", ".join(filter(None, [text, *alone]))
    if not noun.plural and generator.random() < 0.6:
        text = fix_articles(f"a {text}")
    return finish(generator.choice(_FRAMES).format(text), generator)


def _add_phrase(value: Value, before: list[str], withs: list[str], alone: list[str], generator: Random) -> None:
    places = {"adjectives": before, "withs": withs, "clauses": alone}
    form = generator.choice([form for form in places if getattr(value, form)])
    places[form].append(generator.choice(getattr(value, form)))
