"""What can be told of a picture before its pixels are decoded."""

import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from likebut.data.images import decode, image_size
from likebut.errors import ImageError, InputError
from likebut.files import write_bytes
from likebut.gallery.fields import infer_fields, typed_row
from likebut.gallery.gallery import Gallery
from likebut.gallery.images import LEAST_SIDE, content_id
from likebut.gallery.store import StoredImage
from likebut.server.batching import Batcher
from likebut.server.settings import MAX_FIELD_NAME, MAX_NEW_FIELDS


def pixels_of(content: bytes) -> int:
    """Return how many pixels a picture has, from its header.

    Raises:
        ImageError: It is no picture.
    """
    width, height = image_size(content)
    return width * height


def check_pictures(contents: Sequence[bytes], most_pixels: int) -> None:
    """Refuse pictures that are too large.

    Raises:
        ImageError: One is, or is no picture.
    """
    for content in contents:
        width, height = image_size(content)
        if width * height > most_pixels:
            raise ImageError(f"The image has {width}×{height} pixels, more than {most_pixels}.", "Make it smaller.")


class PixelBudget:
    """Lets pictures in as long as their pixels together stay within a limit; further ones wait their turn.

    Args:
        pixels: The limit. A picture that is larger by itself comes in when there is no other.
    """

    def __init__(self, pixels: int) -> None:
        self._pixels, self._used = pixels, 0
        self._freed = threading.Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Hold room for ``pixels`` while the block runs, after waiting for it."""
        with self._freed:
            self._freed.wait_for(lambda: self._used == 0 or self._used + pixels <= self._pixels)
            self._used += pixels
        try:
            yield
        finally:
            with self._freed:
                self._used -= pixels
                self._freed.notify_all()


_MOST_FILES = 64
# Every commit adds small files to the store; tidying now and then keeps searches fast.
_TIDY_EVERY = 50


class Uploads:
    """Adds pictures to a gallery, those of clients who come at the same time together.

    Args:
        gallery: Where they go.
        folder: Where their files go.
        most_pixels: Largest picture.
    """

    def __init__(self, gallery: Gallery, folder: Path, most_pixels: int) -> None:
        self._gallery, self._folder, self._most_pixels = gallery, folder.absolute(), most_pixels
        self._describing = threading.Lock()
        self._batches = 0
        self._batcher: Batcher[Path, bool] = Batcher(self._index, _MOST_FILES)

    def add(self, contents: Sequence[bytes], metadata: Mapping[str, Any]) -> tuple[list[StoredImage], int]:
        """Add pictures, and return them and how many of them are new. All are durable then; or none was added.

        Args:
            contents: Of the files.
            metadata: For each of them.

        Raises:
            ImageError: One cannot be used.
            InputError: The metadata does not fit the gallery's fields.
        """
        self._check_metadata(metadata)
        suffixes = [self._checked_suffix(content) for content in contents]
        ids = [content_id(content) for content in contents]
        there = self._gallery.store.get(ids)
        new = [position for position, image_id in enumerate(ids) if image_id not in there]
        paths = [self._keep(ids[position], suffixes[position], contents[position]) for position in new]
        if paths:
            self._batcher("add", paths)
        if metadata:
            with self._describing:
                for image_id in dict.fromkeys(ids):
                    self._gallery.set_metadata(image_id, metadata)
        return [self._gallery.image(image_id) for image_id in ids], len({ids[position] for position in new})

    def remove(self, image_id: str) -> bool:
        """Remove an image from the gallery, with its file if that was an upload; return whether there was one."""
        there = self._gallery.delete(image_id) > 0
        for path in self._folder.glob(f"{image_id}.*"):
            path.unlink(missing_ok=True)
        return there

    def close(self) -> None:
        """Finish what has begun."""
        self._batcher.close()

    def _check_metadata(self, metadata: Mapping[str, Any]) -> None:
        known = {field.name: field.type for field in self._gallery.store.fields()}
        for name in metadata:
            if not 1 <= len(name) <= MAX_FIELD_NAME or not name.isprintable():
                raise InputError(
                    f'The metadata field "{name[:MAX_FIELD_NAME]}" has no usable name.',
                    f"Give it a name of 1 to {MAX_FIELD_NAME} printable characters.",
                )
        new = infer_fields([metadata], known)
        if len(new) > MAX_NEW_FIELDS:
            raise InputError(f"The metadata has {len(new)} new fields, more than {MAX_NEW_FIELDS}.", "Send fewer.")
        typed_row(metadata, known | {field.name: field.type for field in new}, "The metadata")

    def _checked_suffix(self, content: bytes) -> str:
        """Return the suffix for a picture's file.

        Raises:
            ImageError: It cannot be used.
        """
        decode(content, max_pixels=self._most_pixels, least_side=LEAST_SIDE)
        with Image.open(io.BytesIO(content)) as image:
            kind = image.format
        # Cameras that take two pictures at once write both into one JPEG, an MPO.
        return {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}.get(kind or "", f".{(kind or 'img').lower()}")

    def _keep(self, image_id: str, suffix: str, content: bytes) -> Path:
        path = self._folder / f"{image_id}{suffix}"
        if not path.exists():
            write_bytes(path, content)
        return path

    def _index(self, kind: str, paths: Sequence[Path]) -> list[bool]:
        report = self._gallery.add(paths)
        if report.skipped:
            raise ImageError(report.skipped[0].reason, "Replace it.")
        self._batches += 1
        if self._batches % _TIDY_EVERY == 0:
            self._gallery.optimise(in_background=True)
        return [True] * len(paths)
