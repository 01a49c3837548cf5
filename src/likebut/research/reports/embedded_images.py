"""Thumbnails for figures, and as data URIs inside a page."""

import base64
import io
from pathlib import Path

from PIL import Image

from likebut.data.images import decode

SIDE = 176
_QUALITY = 82


def thumbnail(path: Path, side: int = SIDE) -> Image.Image:
    """Return an image scaled to fit ``side`` × ``side`` pixels with its aspect ratio; smaller images are unchanged.

    Raises:
        ImageError: The file is missing or cannot be read.
    """
    image = decode(path, least_side=side)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


class EmbeddedImages:
    """Thumbnails as data URIs; each image is encoded once."""

    def __init__(self) -> None:
        self._uris: dict[Path, str] = {}

    def uri(self, path: Path) -> str:
        """Return an image's thumbnail as a ``data:`` URI.

        Raises:
            ImageError: The file is missing or cannot be read.
        """
        if path not in self._uris:
            buffer = io.BytesIO()
            thumbnail(path).save(buffer, "WEBP", quality=_QUALITY, method=6)
            self._uris[path] = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
        return self._uris[path]
