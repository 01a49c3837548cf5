"""Image files as a gallery stores them: decoding, thumbnail, signature, and reading ahead of the model in threads."""

import hashlib
import io
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from PIL import ExifTags, Image

from likebut.data.images import decode, open_image, read_content
from likebut.errors import IMAGE_DAMAGE, ImageError, UnreadableImageError
from likebut.files import is_absence

# A JPEG is decoded at a reduced scale whose shorter side is at least twice this; encoders take 224 to 260 pixels.
LEAST_SIDE = 256
_THUMBNAIL_SIDE = 256
_THUMBNAIL_LONGEST = 768
_SIGNATURE_SIDE = 8
# Enough to keep the model busy, few enough for large photographs to fit in memory.
_READ_AHEAD = 48
_EXIF_ROTATED = (5, 6, 7, 8)


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A decoded image and what a gallery stores of it.

    Attributes:
        id: SHA-256 of the file's content.
        image: Upright RGB, possibly at a reduced scale.
        width: Of the upright image at full scale, in pixels.
        height: Of the upright image at full scale, in pixels.
        taken: From the EXIF data, in the camera's local time.
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


@dataclass(frozen=True, slots=True)
class ReadFile:
    """The outcome of reading a file: a new image, the id of a known one, or the reason it was skipped.

    Attributes:
        modified_ns: Modification time, taken before the content was read.
        is_transient: Whether reading failed for a reason outside the content (permissions, an I/O error), so that a
            later attempt may succeed.
    """

    path: str
    file_bytes: int
    modified_ns: int
    image_id: str | None = None
    image: DecodedImage | None = None
    reason: str = ""
    is_transient: bool = False


def content_id(content: bytes) -> str:
    """Return the id of the image with this file content."""
    return hashlib.sha256(content).hexdigest()


def read_image(content: bytes) -> DecodedImage:
    """Decode the content of an image file.

    Raises:
        ImageError: The content is too large, damaged, or not an image.
    """
    decoded = decode(content, least_side=LEAST_SIDE)
    (width, height), taken = _size_and_date(content, decoded.size)
    # Brings other formats to the scale at which a JPEG is decoded.
    factor = min(decoded.size) // (2 * LEAST_SIDE)
    image = decoded.reduce(factor) if factor > 1 else decoded
    return DecodedImage(
        id=content_id(content),
        image=image,
        file_bytes=len(content),
        width=width,
        height=height,
        taken=taken,
        thumbnail=_thumbnail(image),
        signature=image.resize((_SIGNATURE_SIDE, _SIGNATURE_SIDE), Image.Resampling.BOX).tobytes(),
    )


def read_ahead(paths: Sequence[Path], is_known: Callable[[str], bool]) -> Iterator[ReadFile]:
    """Read files in threads and yield the outcomes in the order of ``paths``.

    Args:
        paths: Files.
        is_known: Whether the image with this id is stored already and need not be decoded.
    """
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        pending: deque[Future[ReadFile]] = deque()
        try:
            for path in paths:
                pending.append(pool.submit(_read, path, is_known))
                if len(pending) >= _READ_AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read(path: Path, is_known: Callable[[str], bool]) -> ReadFile:
    name = str(path)
    try:
        status = path.stat()
    except OSError as error:
        reason = f"The file cannot be read ({error.strerror})."
        return ReadFile(name, 0, 0, reason=reason, is_transient=not is_absence(error))
    try:
        content = read_content(path)
        image_id = content_id(content)
        image = None if is_known(image_id) else read_image(content)
        return ReadFile(name, status.st_size, status.st_mtime_ns, image_id, image)
    except ImageError as error:
        is_transient = isinstance(error, UnreadableImageError)
        return ReadFile(name, status.st_size, status.st_mtime_ns, reason=error.problem, is_transient=is_transient)


def _thumbnail(image: Image.Image) -> bytes:
    scale = min(1.0, _THUMBNAIL_SIDE / min(image.size), _THUMBNAIL_LONGEST / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.LANCZOS) if scale < 1 else image
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _size_and_date(content: bytes, decoded_size: tuple[int, int]) -> tuple[tuple[int, int], datetime | None]:
    """Return the upright full-scale size and the EXIF date of an image that decodes to ``decoded_size``."""
    with open_image(content) as image:
        # Only JPEG is decoded at a reduced scale. Whether other formats are rotated on opening depends on the format.
        is_reduced = image.format in ("JPEG", "MPO")
        size = image.size if is_reduced else decoded_size
        try:
            exif = image.getexif()
            details = exif.get_ifd(ExifTags.IFD.Exif)
        except IMAGE_DAMAGE:
            return size, None
    if is_reduced and exif.get(ExifTags.Base.Orientation) in _EXIF_ROTATED:
        size = size[1], size[0]
    date = details.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
    try:
        return size, datetime.strptime(str(date).strip("\x00 "), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return size, None  # cameras without a clock write zeros or spaces
