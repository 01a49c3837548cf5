"""Families: six pictures that differ from one another in one to three attributes, or in nothing but their look."""

from itertools import combinations, product
from random import Random

from likebut.sample_data.attributes import STYLE_NAMES, DrawingStyle, Scene, changes_between, load_style

FAMILY_SIZE = 6
MOST_CHANGES = 3
_TWIN_SHARE = 0.25


def draw_family(generator: Random) -> list[Scene]:
    """Return six different scenes of one style.

    Either six corners of a cube (three attributes, two values each) or a grid (two attributes, three values by two),
    so that for most pairs that differ in several attributes the half-done edit exists too. In a quarter of the
    families one scene is a twin: another's content in another look, so that an edit can have two right answers.
    """
    while True:
        style = load_style(generator.choice(STYLE_NAMES))
        base = _draw_base(style, generator)
        is_cube = generator.random() < 0.7
        scenes = [
            base.replace(changes) for changes in _variations(base, style, (2, 2, 2) if is_cube else (3, 2), generator)
        ]
        scenes = generator.sample(scenes, FAMILY_SIZE)
        if generator.random() < _TWIN_SHARE:
            scenes[-1] = _twin(scenes[0], style, generator)
        if _is_sound(scenes, style):
            generator.shuffle(scenes)
            return scenes


def _draw_base(style: DrawingStyle, generator: Random) -> Scene:
    values = tuple((name, generator.choice(list(choices))) for name, choices in style.attributes.items())
    return Scene(style.name, generator.randrange(len(style.looks)), values)


def _variations(base: Scene, style: DrawingStyle, counts: tuple[int, ...], generator: Random) -> list[dict[str, str]]:
    """Return every combination of a few values of a few attributes that show in ``base``."""
    names = generator.sample(list(base.spoken), len(counts))
    chosen = [generator.sample(list(style.attributes[name]), count) for name, count in zip(names, counts, strict=True)]
    return [dict(zip(names, values, strict=True)) for values in product(*chosen)]


def _twin(scene: Scene, style: DrawingStyle, generator: Random) -> Scene:
    others = [look for look in range(len(style.looks)) if look != scene.look]
    return Scene(scene.style, generator.choice(others), scene.values)


def _is_sound(scenes: list[Scene], style: DrawingStyle) -> bool:
    if (
        any(style.clash(dict(scene.values)) for scene in scenes)
        or len({(s.look, *s.values) for s in scenes}) < FAMILY_SIZE
    ):
        return False
    return all(
        len(changes_between(one.spoken, other.spoken)) <= MOST_CHANGES
        and (one.attributes == other.attributes) == (one.look != other.look and one.values == other.values)
        for first, second in combinations(scenes, 2)
        for one, other in ((first, second), (second, first))
    )
