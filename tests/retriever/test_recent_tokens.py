"""The tokens of reference images are cached, up to a capacity."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from likebut.retriever.retriever import RecentTokens


class Counting:
    """An image's token is its colour; records the calls."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def __call__(self, images: Sequence[Image.Image]) -> Tensor:
        colours = [image.getpixel((0, 0))[0] for image in images]
        self.asked.append(colours)
        return torch.tensor(colours, dtype=torch.float32).view(-1, 1, 1)


def image(colour: int, size: tuple[int, int] = (3, 2)) -> Image.Image:
    return Image.new("RGB", size, (colour, 0, 0))


def test_each_image_is_computed_once_and_returned_in_order() -> None:
    compute = Counting()
    recent = RecentTokens(compute)
    assert recent.of([image(5), image(7), image(5)]).flatten().tolist() == [5, 7, 5]
    assert recent.of([image(9), image(5)]).flatten().tolist() == [9, 5]
    assert compute.asked == [[5, 7], [9]]


def test_images_of_another_shape_are_different() -> None:
    compute = Counting()
    recent = RecentTokens(compute)
    recent.of([image(5, (3, 2))])
    recent.of([image(5, (2, 3))])
    assert compute.asked == [[5], [5]]


def test_the_least_recently_used_is_dropped() -> None:
    compute = Counting()
    recent = RecentTokens(compute, capacity=2)
    for colour in (1, 2, 1, 3, 1, 2):
        recent.of([image(colour)])
    assert compute.asked == [[1], [2], [3], [2]]
    assert recent.of([image(n) for n in range(5)]).flatten().tolist() == [0, 1, 2, 3, 4]
