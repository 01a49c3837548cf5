"""Images that clients add: size checks before decoding, a memory budget, durable files, batched indexing."""

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

_MAX_BATCH = 64
_OPTIMISE_EVERY = 50  # batches; every commit adds small files to the store, and compaction keeps searches fast


def pixels_of(content: bytes) -> int:
    """Return the number of pixels that an image's header declares.

    Raises:
        ImageError: The content is not an image.
    """
    width, height = image_size(content)
    return width * height


def check_images(contents: Sequence[bytes], max_pixels: int) -> None:
    """Check the sizes of images without decoding them.

    Raises:
        ImageError: One is too large, or is not an image.
    """
    for content in contents:
        width, height = image_size(content)
        if width * height > max_pixels:
            raise ImageError(f"The image has {width}×{height} pixels, more than {max_pixels}.", "Send a smaller one.")


class PixelBudget:
    """Limits the pixels of all images that are decoded at the same time; further images wait.

    Args:
        pixels: The limit. A single larger image is admitted when there is no other.
    """

    def __init__(self, pixels: int) -> None:
        self._pixels, self._used = pixels, 0
        self._freed = threading.Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Wait until ``pixels`` fit into the budget, and hold them while the block runs."""
        with self._freed:
            self._freed.wait_for(lambda: self._used == 0 or self._used + pixels <= self._pixels)
            self._used += pixels
        try:
            yield
        finally:
            with self._freed:
                self._used -= pixels
                self._freed.notify_all()


class Uploads:
    """Adds images to a gallery; concurrent additions are indexed together.

    Args:
        gallery: The gallery.
        folder: Folder for the image files.
        max_pixels: Largest image, in pixels.
    """

    def __init__(self, gallery: Gallery, folder: Path, max_pixels: int) -> None:
        self._gallery, self._folder, self._max_pixels = gallery, folder.absolute(), max_pixels
        self._describing = threading.Lock()
        self._batches = 0
        self._batcher: Batcher[Path, bool] = Batcher(self._index, _MAX_BATCH)

    def add(self, contents: Sequence[bytes], metadata: Mapping[str, Any]) -> tuple[list[StoredImage], int]:
        """Add images; return them and the number of new ones. On return all are durable; on an error none is added.

        Args:
            contents: The files' contents.
            metadata: The metadata of each of them.

        Raises:
            ImageError: An image cannot be used.
            InputError: The metadata does not fit the gallery's fields.
        """
        self._check_metadata(metadata)
        suffixes = [self._checked_suffix(content) for content in contents]
        ids = [content_id(content) for content in contents]
        stored = self._gallery.store.get(ids)
        new = [position for position, image_id in enumerate(ids) if image_id not in stored]
        paths = [self._write_file(ids[position], suffixes[position], contents[position]) for position in new]
        if paths:
            self._batcher("add", paths)
        if metadata:
            with self._describing:
                for image_id in dict.fromkeys(ids):
                    self._gallery.set_metadata(image_id, metadata)
        return [self._gallery.image(image_id) for image_id in ids], len({ids[position] for position in new})

    def remove(self, image_id: str) -> bool:
        """Remove an image, and its file if it was added here; return whether the gallery had it."""
        removed = self._gallery.delete(image_id) > 0
        for path in self._folder.glob(f"{image_id}.*"):
            path.unlink(missing_ok=True)
        return removed

    def close(self) -> None:
        """Finish pending additions."""
        self._batcher.close()

    def _check_metadata(self, metadata: Mapping[str, Any]) -> None:
        known = {field.name: field.type for field in self._gallery.store.fields()}
        for name in metadata:
            if not 1 <= len(name) <= MAX_FIELD_NAME or not name.isprintable():
                raise InputError(
                    f'The metadata field name "{name[:MAX_FIELD_NAME]}" is invalid.',
                    f"Use 1 to {MAX_FIELD_NAME} printable characters.",
                    code="invalid-field-name",
                )
        new = infer_fields([metadata], known)
        if len(new) > MAX_NEW_FIELDS:
            raise InputError(
                f"The metadata has {len(new)} new fields, more than {MAX_NEW_FIELDS}.",
                "Send fewer.",
                code="too-many-fields",
            )
        typed_row(metadata, known | {field.name: field.type for field in new}, "The metadata")

    def _checked_suffix(self, content: bytes) -> str:
        """Decode an image once and return the suffix for its file.

        Raises:
            ImageError: The image cannot be used.
        """
        decode(content, max_pixels=self._max_pixels, least_side=LEAST_SIDE)
        with Image.open(io.BytesIO(content)) as image:
            kind = image.format
        # Stereo cameras write two JPEG images into one file, which Pillow calls MPO.
        return {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}.get(kind or "", f".{(kind or 'img').lower()}")

    def _write_file(self, image_id: str, suffix: str, content: bytes) -> Path:
        path = self._folder / f"{image_id}{suffix}"
        if not path.exists():
            write_bytes(path, content)
        return path

    def _index(self, kind: str, paths: Sequence[Path]) -> list[bool]:
        report = self._gallery.add(paths)
        if report.skipped:
            raise ImageError(report.skipped[0].reason, "Replace it.")
        self._batches += 1
        if self._batches % _OPTIMISE_EVERY == 0:
            self._gallery.optimise(in_background=True)
        return [True] * len(paths)
