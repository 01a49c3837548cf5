from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from likebut.research.sample_data.attributes import Scene, changes_between
from likebut.research.sample_data.rendering import LEAST_DIFFERENCE, differ, draw_files, identical_drawings
from likebut.research.sample_data.truth import SplitTruth

BASE = {
    "surface": "striped",
    "planet colour": "red",
    "ring": "none",
    "moons": "none",
    "stars": "small",
    "background": "black",
}


def planet(look: int = 0, **changes: str) -> Scene:
    values = BASE | {name.replace("_", " "): value for name, value in changes.items()}
    return Scene("planets", look, tuple(values.items()))


FAMILY = {
    "a-0.png": planet(),
    "a-1.png": planet(planet_colour="blue"),
    "a-2.png": planet(planet_colour="blue", ring="thick"),
    "a-3.png": planet(ring="thick"),
    "a-4.png": planet(3, planet_colour="blue", ring="thick"),  # the twin of a-2
    "a-5.png": planet(moons="two"),
}
STRANGERS = {
    "b-0.png": planet(planet_colour="blue", ring="thick", background="green"),
    "b-1.png": planet(planet_colour="white", ring="thick", background="green"),
    "b-2.png": planet(4, planet_colour="blue", ring="thick"),  # looks are not spoken of: right as well
    "b-3.png": planet(5),  # the reference's twin
}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> SplitTruth:
    folder = tmp_path_factory.mktemp("images")
    draw_files(folder, {**FAMILY, **STRANGERS})
    return SplitTruth(folder, [FAMILY, STRANGERS])


def test_every_image_that_satisfies_the_edit_is_a_target(truth: SplitTruth) -> None:
    query = truth.query(FAMILY, "a-0.png", "a-2.png")
    assert query.targets == ("a-2.png", "a-4.png", "b-2.png")


def test_hard_negatives_are_partial_edits_edits_of_other_images_and_unedited_images(truth: SplitTruth) -> None:
    query = truth.query(FAMILY, "a-0.png", "a-2.png")
    assert set(query.hard_negatives) == {
        "a-1.png",  # only the colour
        "a-3.png",  # only the ring
        "a-5.png",  # neither: a sibling
        "b-0.png",  # both, on another background
        "b-3.png",  # the reference again
    }


def test_the_subset_is_the_rest_of_the_family(truth: SplitTruth) -> None:
    query = truth.query(FAMILY, "a-0.png", "a-2.png")
    assert query.subset == ("a-1.png", "a-2.png", "a-3.png", "a-4.png", "a-5.png")


def test_twins_are_not_a_query(truth: SplitTruth) -> None:
    assert not truth.is_visible("a-2.png", "a-4.png")
    pairs = truth.choose_pairs(FAMILY, 40, Random(0))
    assert len(pairs) == len(set(pairs)) == 28  # of 30 ordered pairs, all but the twins'
    assert all(changes_between(FAMILY[one].spoken, FAMILY[other].spoken) for one, other in pairs)


def test_images_are_used_about_equally_often(truth: SplitTruth) -> None:
    pairs = truth.choose_pairs(FAMILY, 6, Random(1))
    assert sorted(target for _, target in pairs) == sorted(FAMILY)


def test_an_image_that_is_visually_identical_to_a_target_is_a_target(tmp_path: Path) -> None:
    family = {**FAMILY, "a-5.png": planet(planet_colour="blue", ring="thick", moons="one")}
    draw_files(tmp_path, family)
    (tmp_path / "a-5.png").write_bytes((tmp_path / "a-2.png").read_bytes())  # as if the moon could not be seen
    query = SplitTruth(tmp_path, [family]).query(family, "a-0.png", "a-2.png")
    assert "a-5.png" in query.targets
    assert "a-5.png" not in query.hard_negatives


def test_an_invisible_change_is_not_a_query(tmp_path: Path) -> None:
    draw_files(tmp_path, FAMILY)
    (tmp_path / "a-1.png").write_bytes((tmp_path / "a-0.png").read_bytes())  # as if the colour could not be seen
    truth = SplitTruth(tmp_path, [FAMILY])
    assert not truth.is_visible("a-0.png", "a-1.png")
    assert not truth.is_visible("a-0.png", "a-2.png")  # one of its two steps is that one
    assert truth.is_visible("a-0.png", "a-3.png")


def test_differ_compares_the_mean_with_the_threshold() -> None:
    black = np.zeros((10, 10, 3), np.uint8)
    dotted = black.copy()
    dotted[0, 0] = int(LEAST_DIFFERENCE * 100) - 1  # the mean over 100 pixels is just below
    assert not differ(black, dotted)
    dotted[0, 0] = int(LEAST_DIFFERENCE * 100) + 1
    assert differ(black, dotted)


def test_identical_drawings_agree_with_a_comparison_of_all_pixels(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    base = generator.integers(0, 250, (56, 56, 3), dtype=np.uint8)
    variants = [base, base.copy(), base + np.uint8(1), generator.integers(0, 250, (56, 56, 3), dtype=np.uint8)]
    variants[1][:3, :3] += 2  # far below the threshold
    paths = [tmp_path / f"{position}.png" for position in range(4)]
    for path, pixels in zip(paths, variants, strict=True):
        Image.fromarray(pixels).save(path)
    expected = [
        {other for other in range(4) if other != one and not differ(variants[one], variants[other])} for one in range(4)
    ]
    assert expected == [{1}, {0}, set(), set()]
    assert identical_drawings(paths) == expected
