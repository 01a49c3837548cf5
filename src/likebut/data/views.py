"""Augmented views of images, which training encodes and samples from; beyond the paper."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from PIL import Image, ImageEnhance, ImageOps

from likebut.data.triplets import CropBox, ImageRef

# Smallest crop of each side, and largest change of brightness and contrast. Colours are kept: texts mention them.
_LEAST_SIDE = 0.8
_LIGHT = 0.15


def view_name(name: str, view: int) -> str:
    """Return the name of a view of the image ``name``; view 0 is the image itself."""
    return name if view == 0 else f"{name}@view-{view}"


def crop_of(content: str, crop: CropBox | None) -> str:
    """Return the content id of a part of an image, given that of its file."""
    return content if crop is None else f"{content}-crop-{'-'.join(map(str, crop))}"


def view_of(content: str, view: int) -> str:
    """Return the content id of a view, given the content id of its image."""
    return content if view == 0 else f"{content}-view-{view}"


def with_views(images: Sequence[ImageRef], views: int) -> list[ImageRef]:
    """Return every image followed by its further views, ``views`` per image including the image."""
    return [replace(image, name=view_name(image.name, view), view=view) for image in images for view in range(views)]


def as_view(image: Image.Image, view: int, content: str) -> Image.Image:
    """Return a view of ``image``, a deterministic function of its content id.

    Odd views are mirrored. A view is cropped to at least 0.8 of each side, and its brightness and contrast change by at
    most 15 %; view 0 is the image itself.

    Args:
        image: The whole image.
        view: Number of the view.
        content: Content id of the view, as :func:`view_of` returns it.
    """
    if view == 0:
        return image
    generator = Random(content)
    width, height = (round(side * generator.uniform(_LEAST_SIDE, 1.0)) for side in image.size)
    left, top = generator.randint(0, image.width - width), generator.randint(0, image.height - height)
    cropped = image.crop((left, top, left + max(width, 1), top + max(height, 1)))
    oriented = ImageOps.mirror(cropped) if view % 2 else cropped
    brightened = ImageEnhance.Brightness(oriented).enhance(generator.uniform(1 - _LIGHT, 1 + _LIGHT))
    return ImageEnhance.Contrast(brightened).enhance(generator.uniform(1 - _LIGHT, 1 + _LIGHT))
