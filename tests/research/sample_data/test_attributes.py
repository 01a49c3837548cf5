from itertools import combinations

import numpy as np
import pytest

from likebut.research.sample_data.attributes import STYLE_NAMES, Scene, changes_between, load_style
from likebut.research.sample_data.rendering import differ, draw, draw_png

PLAIN = {
    "sprouts": {"plant": "tulip", "mouth": "smile", "eyes": "round", "background": "black"},
    "voxel-art": {"beard": "none", "glasses": "none", "head": "mohawk", "background": "white", "skin": "pale"},
    "planets": {"ring": "none", "moons": "none", "stars": "none", "background": "black"},
}


def scene(style_name: str, **changes: str) -> Scene:
    style = load_style(style_name)
    values = {name: next(iter(choices)) for name, choices in style.attributes.items()} | PLAIN[style_name] | changes
    return Scene(style_name, 0, tuple(values.items()))


@pytest.mark.parametrize("style_name", STYLE_NAMES)
def test_two_values_of_an_attribute_differ_visibly(style_name: str) -> None:
    base = scene(style_name)
    for attribute, choices in load_style(style_name).attributes.items():
        drawings = {value: np.asarray(draw(base.replace({attribute: value}), 112)) for value in choices}
        for one, other in combinations(choices, 2):
            assert differ(drawings[one], drawings[other]), f"{attribute}: {one} looks like {other}"


@pytest.mark.parametrize("style_name", STYLE_NAMES)
def test_every_value_has_words_unless_it_is_an_absence_or_a_colour(style_name: str) -> None:
    style = load_style(style_name)
    for part in style.parts.values():
        if part.kind is not None:
            without_words = {name for name, value in style.attributes[part.kind].items() if not value.words}
            assert without_words <= {"none"}
    spoken = {name for part in style.parts.values() for name in part.attributes()}
    assert spoken == set(style.attributes) - set(style.unspoken)


def test_a_flower_colour_shows_on_flowers_only() -> None:
    assert scene("sprouts", plant="tulip").attributes["flower colour"] == "pink"
    assert "flower colour" not in scene("sprouts", plant="cactus").attributes


def test_hidden_values_do_not_change_the_drawing() -> None:
    cactus = scene("sprouts", plant="cactus")
    assert draw_png(cactus) == draw_png(cactus.replace({"flower colour": "white"}))
    assert cactus.visible() == cactus.replace({"flower colour": "white"}).visible()


def test_skin_is_visible_and_unspoken() -> None:
    figure = scene("voxel-art")
    assert figure.attributes["skin"] == "pale"
    assert "skin" not in figure.spoken


def test_options_put_the_fill_where_the_outfit_needs_it() -> None:
    fill = load_style("voxel-art").attributes["outfit colour"]["red"].fill
    figure = scene("voxel-art", **{"outfit colour": "red"})
    assert figure.replace({"outfit": "t-shirt"}).options()["shirtColor"] == fill
    dress = figure.replace({"outfit": "dress"}).options()
    assert dress["jacketColor"] == fill
    assert dress["shirtColor"] != fill


def test_changes_are_the_new_values() -> None:
    assert changes_between({"a": "1", "b": "2"}, {"a": "1", "b": "3"}) == {"b": "3"}


def test_an_attribute_that_appears_is_a_change_and_one_that_disappears_is_not() -> None:
    cactus, tulip = {"plant": "cactus"}, {"plant": "tulip", "flower colour": "red"}
    assert changes_between(cactus, tulip) == tulip
    assert changes_between(tulip, cactus) == cactus


def test_clashes_are_detected() -> None:
    style = load_style("voxel-art")
    values = dict(scene("voxel-art", skin="brown").values)
    assert style.clash(values | {"head colour": "brown"})
    assert not style.clash(values | {"head colour": "black"})
