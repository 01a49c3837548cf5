"""What can be told of a picture before its pixels are decoded."""

from collections.abc import Sequence

from likebut.errors import ImageError
from likebut.images import picture_size


def pixels_of(content: bytes) -> int:
    """Return how many pixels a picture has, from its header.

    Raises:
        ImageError: It is no picture.
    """
    width, height = picture_size(content)
    return width * height


def check_pictures(contents: Sequence[bytes], most_pixels: int) -> None:
    """Refuse pictures that are too large.

    Raises:
        ImageError: One is, or is no picture.
    """
    for content in contents:
        width, height = picture_size(content)
        if width * height > most_pixels:
            raise ImageError(f"The image has {width}×{height} pixels, more than {most_pixels}.", "Make it smaller.")
