"""From a file's content to what a gallery keeps of a picture."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from PIL import ExifTags, Image

from likebut.data.images import decode, open_image
from likebut.errors import IMAGE_DAMAGE
from likebut.gallery.scoring import l2_normalise
from likebut.gallery.store import Candidate

# A JPEG is decoded at a reduced scale where its shorter side stays above twice this; encoders take 224 to 260 pixels.
LEAST_SIDE = 256
_THUMBNAIL_SIDE = 256
_THUMBNAIL_LONGEST = 768
SIGNATURE_SIDE = 8


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture and what is kept of it.

    Attributes:
        id: SHA-256 of the file's content.
        image: Upright RGB, perhaps at a reduced scale.
        width: Of the upright picture, at its full scale.
        height: Likewise.
        thumbnail: JPEG.
        signature: 8×8 RGB miniature, 192 bytes.
    """

    id: str
    image: Image.Image
    file_bytes: int
    width: int
    height: int
    taken: datetime | None
    thumbnail: bytes
    signature: bytes


def content_id(content: bytes) -> str:
    """Return the id of an image with this content."""
    return hashlib.sha256(content).hexdigest()


def read_picture(content: bytes) -> Picture:
    """Return the picture in a file's content.

    Raises:
        ImageError: It is too large, damaged, or no image.
    """
    decoded = decode(content, least_side=LEAST_SIDE)
    (width, height), taken = _header(content, decoded.size)
    image = _reduced(decoded)
    return Picture(
        id=content_id(content),
        image=image,
        file_bytes=len(content),
        width=width,
        height=height,
        taken=taken,
        thumbnail=_thumbnail(image),
        signature=signature(image),
    )


def _reduced(image: Image.Image) -> Image.Image:
    """Return a large picture that was no JPEG at the scale at which a JPEG would have been decoded."""
    factor = min(image.size) // (2 * LEAST_SIDE)
    return image.reduce(factor) if factor > 1 else image


def signature(image: Image.Image) -> bytes:
    """Return the 8×8 RGB miniature of an RGB picture."""
    return image.resize((SIGNATURE_SIDE, SIGNATURE_SIDE), Image.Resampling.BOX).tobytes()


def _thumbnail(image: Image.Image) -> bytes:
    scale = min(1.0, _THUMBNAIL_SIDE / min(image.size), _THUMBNAIL_LONGEST / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.LANCZOS) if scale < 1 else image
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _header(content: bytes, decoded: tuple[int, int]) -> tuple[tuple[int, int], datetime | None]:
    """Return the upright size and the date of a picture that decodes to the size ``decoded``."""
    with open_image(content) as image:
        # Only a JPEG is decoded at a reduced scale; whether others are turned when opened is up to their kind.
        is_reduced = image.format in ("JPEG", "MPO")
        size = image.size if is_reduced else decoded
        try:
            exif = image.getexif()
            details = exif.get_ifd(ExifTags.IFD.Exif)
        except IMAGE_DAMAGE:
            return size, None
    if is_reduced and exif.get(ExifTags.Base.Orientation) in (5, 6, 7, 8):
        size = size[1], size[0]
    return size, _date(details.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime))


def _date(value: object) -> datetime | None:
    """Return the date in an EXIF field; cameras without a clock write zeros or spaces there."""
    try:
        return datetime.strptime(str(value).strip("\x00 "), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None


# How they were chosen is in docs/gallery.md.
MAX_SIGNATURE_DISTANCE = 8.0
MIN_COSINE = 0.9


@dataclass(frozen=True, slots=True)
class Group:
    """A result with those below it that show the same picture.

    Attributes:
        leader: Position of the best of them.
        others: Positions of the rest, best first.
    """

    leader: int
    others: tuple[int, ...]


def group_near_duplicates(candidates: Sequence[Candidate]) -> list[Group]:
    """Return the candidates in groups, in the order of their leaders.

    Whether a candidate leads depends on those above it alone, so that further pages do not change earlier ones.

    Args:
        candidates: Best first.
    """
    if not candidates:
        return []
    points = np.stack([np.frombuffer(each.image.signature, dtype=np.uint8) for each in candidates]).astype(np.float32)
    squares = (points.astype(np.float64) ** 2).sum(axis=1)
    # The leaders' miniatures and squares, in the order of their ranks.
    leading, leading_squares = np.empty_like(points), np.empty_like(squares)
    members: dict[int, list[int]] = {}
    leaders: list[int] = []
    for position, point in enumerate(points):
        # Exact: 192 products of bytes stay below 2²⁴, up to which float32 holds every whole number.
        count = len(leaders)
        products = (leading[:count] @ point).astype(np.float64)
        distances = (leading_squares[:count] + squares[position] - 2 * products) / len(point)
        near = np.flatnonzero(distances <= MAX_SIGNATURE_DISTANCE**2)
        leader = next((leaders[i] for i in near if _agree(candidates[leaders[i]], candidates[position])), None)
        if leader is None:
            leading[count], leading_squares[count] = point, squares[position]
            leaders.append(position)
            members[position] = []
        else:
            members[leader].append(position)
    return [Group(leader, tuple(others)) for leader, others in members.items()]


def _agree(first: Candidate, second: Candidate) -> bool:
    """Return whether two pictures' target embeddings, (N, E) each, nearly agree."""
    cosines = (l2_normalise(first.embeddings) * l2_normalise(second.embeddings)).sum(axis=1)
    return bool(cosines.mean() >= MIN_COSINE)
