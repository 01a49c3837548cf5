"""Where training reads vision tokens from, by image name: the cache on disk, or a copy on the model's device."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Protocol

import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from likebut.data.triplets import CropBox, ImageRef


class TokenSource(Protocol):
    """Whatever hands out vision tokens by image name."""

    def tokens(self, names: Sequence[str]) -> Tensor:
        """Return the (B, T, W) tokens of the images called ``names``, in that order."""

    def content(self, name: str) -> str:
        """Return what identifies an image's content; equal for two names with one content."""

    def knows(self, name: str) -> bool:
        """Return whether :meth:`content` has an answer."""


class ResidentFeatures:
    """The tokens of some images, all held on one device, so that a training step moves none.

    Args:
        source: Where the tokens come from.
        names: The images to hold.
        device: Where to hold them.
    """

    def __init__(self, source: TokenSource, names: Sequence[str], device: torch.device | str) -> None:
        unique = {source.content(name): name for name in names}
        self._source = source
        self._row_of = {content: row for row, content in enumerate(unique)}
        first = source.tokens(list(unique.values())[:1])
        self._tokens = torch.empty((len(unique), *first.shape[1:]), dtype=first.dtype, device=device)
        for row, name in enumerate(unique.values()):
            self._tokens[row] = source.tokens([name])[0].to(device)

    def content(self, name: str) -> str:
        """Return what identifies an image's content."""
        return self._source.content(name)

    def knows(self, name: str) -> bool:
        """Return whether :meth:`content` has an answer."""
        return self._source.knows(name)

    def tokens(self, names: Sequence[str]) -> Tensor:
        """Return the (B, T, W) tokens of the images called ``names``, in that order, on the device."""
        rows = [self._row_of[self._source.content(name)] for name in names]
        return self._tokens[torch.tensor(rows, device=self._tokens.device)]


# Of a view's sides, and of its brightness and contrast. Colours are left alone: texts speak of them.
_LEAST_SIDE = 0.8
_LIGHT = 0.15


def view_name(name: str, view: int) -> str:
    """Return what a view of the image called ``name`` is called; view 0 is the image itself."""
    return name if view == 0 else f"{name}@view-{view}"


def view_of(content: str, view: int) -> str:
    """Return what identifies a view's content, given what identifies the image's."""
    return content if view == 0 else f"{content}-view-{view}"


def crop_of(content: str, crop: CropBox | None) -> str:
    """Return what identifies the content of a part of an image, given what identifies the file's."""
    return content if crop is None else f"{content}-crop-{'-'.join(map(str, crop))}"


def with_views(images: Sequence[ImageRef], views: int) -> list[ImageRef]:
    """Return every image and then its further views, ``views`` in all of each."""
    return [replace(image, name=view_name(image.name, view), view=view) for image in images for view in range(views)]


def as_view(image: Image.Image, view: int, content: str) -> Image.Image:
    """Return a view of ``image``: a function of what :func:`view_of` says alone.

    Odd views are mirrored. Each is cropped to at least 0.8 of each side, and brightness and contrast change by at most
    15 %; view 0 is the image itself.
    """
    if view == 0:
        return image
    generator = Random(content)
    width, height = (round(side * generator.uniform(_LEAST_SIDE, 1.0)) for side in image.size)
    left, top = generator.randint(0, image.width - width), generator.randint(0, image.height - height)
    cropped = image.crop((left, top, left + max(width, 1), top + max(height, 1)))
    turned = ImageOps.mirror(cropped) if view % 2 else cropped
    lit = ImageEnhance.Brightness(turned).enhance(generator.uniform(1 - _LIGHT, 1 + _LIGHT))
    return ImageEnhance.Contrast(lit).enhance(generator.uniform(1 - _LIGHT, 1 + _LIGHT))
