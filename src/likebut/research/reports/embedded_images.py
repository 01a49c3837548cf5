"""Pictures for a page or a figure: small, and inside the page."""

import base64
import io
from pathlib import Path

from PIL import Image

from likebut.data.images import decode

SIDE = 176
_QUALITY = 82


def thumbnail(path: Path, side: int = SIDE) -> Image.Image:
    """Return the picture scaled to fit ``side`` × ``side`` pixels, its proportions kept; a small one stays as it is.

    Raises:
        ImageError: The file is missing or cannot be read.
    """
    picture = decode(path, least_side=side)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


class EmbeddedPictures:
    """Hands out thumbnails as data URIs, each picture encoded once."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def uri(self, path: Path) -> str:
        """Return the picture as a ``data:`` URI.

        Raises:
            ImageError: The file is missing or cannot be read.
        """
        if path not in self._known:
            buffer = io.BytesIO()
            thumbnail(path).save(buffer, "WEBP", quality=_QUALITY, method=6)
            self._known[path] = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
        return self._known[path]
