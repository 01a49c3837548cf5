"""Views of training photographs: mirrored, cropped and lit a little otherwise.

The vision encoder is frozen and its tokens are cached, so that views cannot be drawn anew in every step: a few of each
photograph are encoded once, and a batch draws among those.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from PIL import Image, ImageEnhance, ImageOps

from likebut.triplets import ImageRef

# Of a view's sides, and of its brightness and contrast. Colours are left alone: texts speak of them.
_LEAST_SIDE = 0.8
_LIGHT = 0.15


def view_name(name: str, view: int) -> str:
    """Return what a view of the image called ``name`` is called; view 0 is the image itself."""
    return name if view == 0 else f"{name}@view-{view}"


def view_of(content: str, view: int) -> str:
    """Return what identifies a view's content, given what identifies the image's."""
    return content if view == 0 else f"{content}-view-{view}"


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
