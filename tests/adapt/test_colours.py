import numpy as np
import pytest

from likebut.adapt.colours import (
    BASIC,
    agreed_colours,
    colours_around,
    dominant_colours,
    light_of,
    name_pixels,
)


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((220, 30, 30), "red"), ((240, 140, 20), "orange"), ((240, 220, 40), "yellow"), ((40, 160, 50), "green"),
        ((40, 70, 200), "blue"), ((120, 40, 160), "purple"), ((245, 150, 190), "pink"), ((110, 65, 30), "brown"),
        ((10, 10, 10), "black"), ((250, 250, 250), "white"), ((130, 130, 130), "grey"),
    ],
)  # fmt: skip
def test_plain_colours_have_their_names(rgb: tuple[int, int, int], name: str) -> None:
    assert BASIC[name_pixels(np.array([rgb], dtype=np.uint8))[0]] == name


def test_the_colour_of_the_light_is_divided_out() -> None:
    light = np.array([1.0, 0.88, 0.7])
    wall = (np.full((100, 3), 230) * light).astype(np.uint8)
    apple = (np.array([[150, 185, 50]] * 100) * light).astype(np.uint8)
    found = light_of([np.concatenate([wall, apple])] * 12)
    assert found == pytest.approx(light, abs=0.02)
    assert dominant_colours(apple, np.ones(3)) == ("yellow",)
    assert dominant_colours(apple, found) == ("green",)


def test_a_name_has_the_colour_that_most_of_its_images_show() -> None:
    names = {"a": "lemon", "b": "lemon", "c": "lemon", "d": "carton", "e": "carton", "f": "carton"}
    colours = {"a": ["yellow"], "b": ["yellow", "white"], "c": ["grey"], "d": ["red"], "e": ["blue"], "f": ["green"]}
    assert agreed_colours(names, colours) == {"a": "yellow", "b": "yellow", "c": "yellow"}


def test_an_image_keeps_a_colour_that_its_neighbours_share() -> None:
    colours = {"a": ["red"], "b": ["red"], "c": ["blue"]}
    assert colours_around(["a", "b", "c"], colours, [[1, 2], [0, 2], [0, 1]]) == {"a": "red", "b": "red"}
