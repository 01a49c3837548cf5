"""Views of images, and mined hard negatives."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from likebut.data.triplets import ImageRef, Triplet
from likebut.data.views import as_view, view_name, view_of, with_views
from likebut.training.view_sampler import PLAIN, ViewSampler, find_mined_hard_negatives


def noise_image() -> Image.Image:
    pixels = np.random.default_rng(0).integers(60, 190, (40, 60, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_a_view_is_a_function_of_content_and_number() -> None:
    image = noise_image()
    views = [as_view(image, view, view_of("abc", view)) for view in range(4)]
    assert views[0] is image
    for view in range(1, 4):
        assert views[view].tobytes() == as_view(image, view, view_of("abc", view)).tobytes()
        assert 0.75 * 60 <= views[view].width <= 60 and 0.75 * 40 <= views[view].height <= 40
    assert len({view.tobytes() for view in views}) == 4
    assert views[1].tobytes() != as_view(image, 1, view_of("another", 1)).tobytes()


def test_an_image_of_one_pixel_has_views() -> None:
    for view in range(8):
        assert as_view(Image.new("RGB", (1, 1)), view, str(view)).size == (1, 1)


def test_odd_views_are_mirrored_with_unchanged_colours() -> None:
    image = Image.new("RGB", (100, 100), (200, 40, 40))
    image.paste((40, 40, 200), (0, 0, 50, 100))
    for view in range(1, 9):
        seen = np.asarray(as_view(image, view, str(view))).astype(int)
        left, right = seen[:, 0].mean(axis=0), seen[:, -1].mean(axis=0)
        blue, red = (right, left) if view % 2 else (left, right)
        assert blue[2] > 2 * blue[0] and red[0] > 2 * red[2]


def test_names_and_contents_of_views() -> None:
    [itself, second] = with_views([ImageRef("a.jpg", Path("a.jpg"))], 2)
    assert itself == ImageRef("a.jpg", Path("a.jpg"))
    assert (second.name, second.path, second.view) == (view_name("a.jpg", 1), Path("a.jpg"), 1)
    assert view_of("abc", 0) == "abc" != view_of("abc", 1) != view_of("abc", 2)


class Vectors:
    """One token of two numbers for each image; "twin" has the content of "a"."""

    rows = {"a": (1.0, 0.0), "twin": (1.0, 0.0), "b": (0.9, 0.1), "c": (0.5, 0.5), "d": (0.0, 1.0)}

    def content(self, name: str) -> str:
        return "a" if name == "twin" else name

    def knows(self, name: str) -> bool:
        return True

    def tokens(self, names: Sequence[str]) -> Tensor:
        return torch.tensor([self.rows[name] for name in names])[:, None]


def test_mined_hard_negatives_are_the_nearest_of_other_content() -> None:
    found = find_mined_hard_negatives(Vectors(), ["a", "b", "c", "d", "twin"], 2)
    assert found["a"] == found["twin"] == ("b", "c")
    assert found["b"] == ("a", "c") and found["d"] == ("c", "b")
    assert find_mined_hard_negatives(Vectors(), ["a", "b"], 0) == {}
    assert find_mined_hard_negatives(Vectors(), ["a", "b"], 5) == {"a": ("b",), "b": ("a",)}


class Named:
    """Records the requested names."""

    def tokens(self, names: Sequence[str]) -> Tensor:
        self.requested = list(names)
        return torch.zeros(len(names), 1, 1)

    def content(self, name: str) -> str:
        return name

    def knows(self, name: str) -> bool:
        return True


@pytest.mark.parametrize("seed", [0, 1])
def test_every_view_is_sampled_and_one_per_name(seed: int) -> None:
    source, generator = Named(), np.random.default_rng(seed)
    ViewSampler(views=3).tokens(source, ["x"] * 200, generator)
    assert set(source.requested) == {view_name("x", view) for view in range(3)} and len(source.requested) == 200


def test_the_plain_sampler_uses_no_random_numbers() -> None:
    source, generator = Named(), np.random.default_rng(0)
    before = generator.bit_generator.state
    PLAIN.tokens(source, ["x", "y"], generator)
    assert (
        source.requested == ["x", "y"]
        and PLAIN.sample_mined_hard_negatives([Triplet("r", "x", "in red")], generator) == []
    )
    assert generator.bit_generator.state == before


def test_one_mined_hard_negative_per_triplet_that_is_not_a_target() -> None:
    view_sampler = ViewSampler(mined_hard_negatives={"x": ("y",), "y": ("x", "z"), "z": ("x", "y")})
    triplets = [
        Triplet("r", "x", "in red"),
        Triplet("r", "y", "in blue"),
        Triplet("r", "z", "in green", targets=("z", "y")),
        Triplet("r", "y", "in pink", targets=("x", "y", "z")),
    ]
    sampled = [view_sampler.sample_mined_hard_negatives(triplets, np.random.default_rng(seed)) for seed in range(20)]
    assert [set(names) for names in zip(*sampled, strict=True)] == [{"y"}, {"x", "z"}, {"x"}, {"y"}]
