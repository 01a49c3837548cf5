"""Tokens of reference images are computed once, and the oldest are forgotten."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from likebut.retriever.retriever import RecentTokens


class Counting:
    """An image's token is its colour; remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def __call__(self, images: Sequence[Image.Image]) -> Tensor:
        colours = [image.getpixel((0, 0))[0] for image in images]
        self.asked.append(colours)
        return torch.tensor(colours, dtype=torch.float32).view(-1, 1, 1)


def picture(colour: int, size: tuple[int, int] = (3, 2)) -> Image.Image:
    return Image.new("RGB", size, (colour, 0, 0))


def test_each_image_is_computed_once_and_comes_in_order() -> None:
    compute = Counting()
    recent = RecentTokens(compute)
    assert recent.of([picture(5), picture(7), picture(5)]).flatten().tolist() == [5, 7, 5]
    assert recent.of([picture(9), picture(5)]).flatten().tolist() == [9, 5]
    assert compute.asked == [[5, 7], [9]]


def test_pictures_of_another_shape_are_others() -> None:
    compute = Counting()
    recent = RecentTokens(compute)
    recent.of([picture(5, (3, 2))])
    recent.of([picture(5, (2, 3))])
    assert compute.asked == [[5], [5]]


def test_the_longest_unused_is_forgotten() -> None:
    compute = Counting()
    recent = RecentTokens(compute, capacity=2)
    for colour in (1, 2, 1, 3, 1, 2):
        recent.of([picture(colour)])
    assert compute.asked == [[1], [2], [3], [2]]
    assert recent.of([picture(n) for n in range(5)]).flatten().tolist() == [0, 1, 2, 3, 4]
