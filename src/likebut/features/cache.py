"""The feature cache: vision tokens by image content, in memory-mapped shards.

A shard is a file of rows and an index, written last; rows without an index do not count.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from likebut.data.images import SkippedImage, skipped_in
from likebut.data.triplets import ImageRef
from likebut.data.views import crop_of, view_of
from likebut.errors import InputError
from likebut.features.content_hashes import ContentHashes, Unread
from likebut.features.encoding import EncodedBatch, encode_in_batches, in_groups
from likebut.files import atomic_path, fingerprint, home_folder, read_json, remove_temporaries, write_json
from likebut.models.vision import VisionEncoder

BATCHES_PER_SHARD = 8
_FLOAT16_BYTES = 2


class Shard:
    """The rows of one shard, memory-mapped on first read.

    Args:
        path: The file of rows (``*.bin``).
        contents: Content id of each row.
        skipped: Content id → reason, for images that were skipped while the shard was written.
        tokens: T.
        width: W.
    """

    def __init__(self, path: Path, contents: list[str], skipped: dict[str, str], tokens: int, width: int) -> None:
        self.path = path
        self.name = path.stem
        self.contents = contents
        self.skipped = skipped
        self._shape = (len(contents), tokens, width)

    def rows(self) -> NDArray[np.float16]:
        """Return the (rows, T, W) tokens.

        Raises:
            InputError: The file was removed after the cache was opened.
        """
        return self._rows

    @cached_property
    def _rows(self) -> NDArray[np.float16]:
        try:
            return np.memmap(self.path, dtype=np.float16, mode="r", shape=self._shape)
        except FileNotFoundError:
            raise InputError(
                f"The cached vision tokens {self.path} were removed while in use.",
                "Run the same command again: it computes them again and resumes.",
                code="cache-removed",
            ) from None

    def is_complete(self) -> bool:
        """Return whether the file of rows has the size that the index requires."""
        size = self.path.stat().st_size if self.path.is_file() else -1
        return size == int(np.prod(self._shape)) * _FLOAT16_BYTES


def write_shard(folder: Path, batches: Sequence[EncodedBatch], tokens: int, width: int) -> None:
    """Write ``batches`` as one shard, rows first and index last, so that a kill leaves no index without rows.

    The name depends on the contents alone, so that a repeated write after a kill replaces the remains.
    """
    contents = [content for batch in batches for content in batch.contents]
    skipped = {content: reason for batch in batches for content, reason in batch.skipped.items()}
    name = fingerprint([contents, sorted(skipped)])
    with atomic_path(folder / f"{name}.bin") as temporary, temporary.open("wb") as handle:
        for batch in batches:
            if batch.tokens.shape[1:] != (tokens, width):
                raise InputError(
                    f"The vision encoder gives tokens of shape {batch.tokens.shape[1:]}, "
                    f"but the feature cache expects {(tokens, width)}.",
                    "Open the cache with the sizes of the encoder.",
                )
            handle.write(np.ascontiguousarray(batch.tokens).tobytes())
    write_json(folder / f"{name}.json", {"contents": contents, "skipped": skipped})


def read_shards(folder: Path, tokens: int, width: int) -> Iterator[Shard]:
    """Yield every complete shard in ``folder``, by name."""
    for index in sorted(folder.glob("*.json")):
        if index.name == "identity.json":
            continue
        record = read_json(index)
        shard = Shard(index.with_suffix(".bin"), record["contents"], skipped_in(record), tokens, width)
        if shard.is_complete():
            yield shard


@dataclass(frozen=True, slots=True)
class CacheIdentity:
    """What cached tokens depend on besides the image.

    Attributes:
        vision: Name of the encoder, which identifies architecture and weights.
        preprocessing: Fingerprint of the preprocessing.
        tokens: T.
        width: W.
    """

    vision: str
    preprocessing: str
    tokens: int
    width: int


class FeatureCache:
    """The vision tokens of images, memory-mapped; open it with :meth:`open`.

    On disk tokens are stored by content; image names are known after :meth:`add`, :meth:`missing` or
    :meth:`learn_names`.
    """

    def __init__(self, folder: Path, identity: CacheIdentity) -> None:
        self.folder = folder
        self.identity = identity
        self._hashes = ContentHashes(folder.parent / "content-hashes.json")
        self._content_of: dict[str, str] = {}
        self._unreadable: dict[str, SkippedImage | Unread] = {}
        self._shards: set[str] = set()
        self._rows: dict[str, tuple[Shard, int]] = {}
        self._reasons: dict[str, str] = {}
        self._unread: dict[str, str] = {}
        self._reload()

    @classmethod
    def open(cls, folder: Path, vision_name: str, preprocessing: str, tokens: int, width: int) -> "FeatureCache":
        """Open or create the cache of one encoder and preprocessing below ``folder``.

        Each encoder has its own sub-folder of ``folder``.

        Args:
            folder: Folder of all caches.
            vision_name: Name of the encoder, which identifies architecture and weights.
            preprocessing: ``Preprocessing.fingerprint()``.
            tokens: T.
            width: W.

        Raises:
            InputError: The sub-folder was created with other settings; the message names the differences.
        """
        identity = CacheIdentity(vision_name, preprocessing, tokens, width)
        sub_folder = folder / fingerprint(asdict(identity))
        record = sub_folder / "identity.json"
        if record.is_file():
            _check_identity(record, identity)
        else:
            write_json(record, asdict(identity))
        return cls(sub_folder, identity)

    def learn_names(self, images: Sequence[ImageRef]) -> None:
        """Determine the content of each image, without computing tokens.

        Raises:
            InputError: Two different images have the same name.
        """
        for image, content in zip(images, self._hashes.of_all([image.path for image in images]), strict=True):
            self._unreadable.pop(image.name, None)
            if not isinstance(content, str):
                self._unreadable[image.name] = content
                continue
            seen = view_of(crop_of(content, image.crop), image.view)
            if self._content_of.setdefault(image.name, seen) != seen:
                raise InputError(
                    f"Two different images have the name {image.name}; the second is {image.path}.",
                    "Rename one of them.",
                    code="ambiguous-name",
                )
        self._hashes.save()

    def missing(self, images: Sequence[ImageRef]) -> list[ImageRef]:
        """Learn the names of ``images`` and return those without cached tokens, except skipped images.

        If the result is empty, the vision encoder need not be loaded.
        """
        self.learn_names(images)
        return [image for image in images if self._is_missing(image.name)]

    def add(
        self,
        images: Sequence[ImageRef],
        vision: VisionEncoder,
        batch_size: int = 32,
        device: torch.device | str | None = None,
    ) -> list[SkippedImage]:
        """Compute and store the tokens of those ``images`` that are not in the cache.

        Killed at any moment and called again, it gives bit-identical tokens. It waits for another process that adds to
        the same cache.

        Args:
            images: Images to add.
            vision: The frozen encoder that the cache was opened for.
            batch_size: Images per forward pass.
            device: Where to encode; by default the encoder's device.

        Returns:
            The skipped images with reasons, sorted by name.
        """
        self._unread.clear()
        if self.missing(images):
            with self._write_lock():
                self._reload()
                self._encode(self._one_name_for_each_missing(images), vision, batch_size, device)
                self._reload()
        return self.skipped(images)

    def skipped(self, images: Iterable[ImageRef]) -> list[SkippedImage]:
        """Return the skipped images among ``images`` with reasons, sorted by name."""
        reasons = ((image.name, self._reason(image.name)) for image in images)
        return sorted((SkippedImage(name, why) for name, why in reasons if why is not None), key=lambda item: item.name)

    def require_read(self, images: Iterable[ImageRef]) -> None:
        """Check that all files of ``images`` could be read.

        A training run that skipped a temporarily unreadable image would resume with other data.

        Raises:
            InputError: Files could not be read; the message has their number and the first reason.
        """
        reasons = [reason for image in images if (reason := self._why_unread(image.name)) is not None]
        if reasons:
            raise InputError(
                f"{len(reasons)} image files could not be read. {reasons[0]}",
                "Check the disk; the same command resumes.",
                code="unreadable-image",
            )

    def __contains__(self, name: str) -> bool:
        """Return whether the cache has the tokens of the image ``name``."""
        return self._content_of.get(name) in self._rows

    def __len__(self) -> int:
        """Return the number of different images in the cache."""
        return len(self._rows)

    def content(self, name: str) -> str:
        """Return the content id of an image: the SHA-256 of its file, equal for two names with the same content.

        Raises:
            InputError: The name is unknown.
        """
        if name not in self._content_of:
            raise InputError(
                f"The image {name} is not in the feature cache.", "Check the name, or add the image.", "not-cached"
            )
        return self._content_of[name]

    def knows(self, name: str) -> bool:
        """Return whether the content of the image ``name`` is known."""
        return name in self._content_of

    def tokens(self, names: Sequence[str]) -> Tensor:
        """Return the (B, T, W) float16 tokens of the images ``names``, in that order.

        Raises:
            InputError: An image is not in the cache, or was skipped.
        """
        gathered = np.empty((len(names), self.identity.tokens, self.identity.width), dtype=np.float16)
        for position, name in enumerate(names):
            gathered[position] = self._row(name)
        return torch.from_numpy(gathered)

    def _row(self, name: str) -> NDArray[np.float16]:
        reason = self._reason(name)
        if reason is not None:
            raise InputError(f"The image {name} was skipped: {reason}", "Remove or replace it.", "skipped-image")
        content = self.content(name)
        if content not in self._rows:
            raise InputError(f"The image {name} is not in the feature cache.", "Add it first.", "not-cached")
        shard, row = self._rows[content]
        tokens: NDArray[np.float16] = shard.rows()[row]
        return tokens

    def _reason(self, name: str) -> str | None:
        found = self._unreadable.get(name)
        if isinstance(found, SkippedImage):
            return found.reason
        return self._reasons.get(self._content_of.get(name, "")) or self._why_unread(name)

    def _why_unread(self, name: str) -> str | None:
        found = self._unreadable.get(name)
        return found.reason if isinstance(found, Unread) else self._unread.get(self._content_of.get(name, ""))

    def _is_missing(self, name: str) -> bool:
        return name not in self and self._reason(name) is None

    def _one_name_for_each_missing(self, images: Sequence[ImageRef]) -> list[tuple[str, ImageRef]]:
        """Return sorted (content, image), so that an interrupted run has the batches of an uninterrupted one."""
        chosen = {self._content_of[image.name]: image for image in images if self._is_missing(image.name)}
        return sorted(chosen.items())

    def _encode(
        self,
        images: list[tuple[str, ImageRef]],
        vision: VisionEncoder,
        batch_size: int,
        device: torch.device | str | None,
    ) -> None:
        if device is not None:
            vision.to(device)
        vision.eval()
        batches = encode_in_batches(images, vision, vision.preprocessing, batch_size)
        for group in in_groups(batches, BATCHES_PER_SHARD):
            write_shard(self.folder, group, self.identity.tokens, self.identity.width)
            # Not stored: a file that cannot be read now may be readable next time.
            for batch in group:
                self._unread.update(batch.unread)

    def _reload(self) -> None:
        for shard in read_shards(self.folder, self.identity.tokens, self.identity.width):
            if shard.name not in self._shards:
                self._shards.add(shard.name)
                self._rows.update({content: (shard, row) for row, content in enumerate(shard.contents)})
                self._reasons.update(shard.skipped)

    @contextmanager
    def _write_lock(self) -> Iterator[None]:
        # The operating system releases the lock when the process ends, even by a kill.
        with FileLock(self.folder / "writer.lock"):
            remove_temporaries(self.folder)
            yield


def default_feature_folder() -> Path:
    """Return the default folder of feature caches."""
    return home_folder() / "features"


def open_features(vision: VisionEncoder, folder: Path | None = None) -> FeatureCache:
    """Open the feature cache of ``vision`` below ``folder``, by default in the user's cache folder."""
    return FeatureCache.open(
        folder or default_feature_folder(), vision.name, vision.preprocessing.fingerprint(), vision.tokens, vision.width
    )


def _check_identity(record: Path, identity: CacheIdentity) -> None:
    found, wanted = read_json(record), asdict(identity)
    differences = [
        f"{key} is {found.get(key)!r}, not {wanted[key]!r}" for key in wanted if found.get(key) != wanted[key]
    ]
    if differences:
        raise InputError(
            f"The feature cache {record.parent} has other settings: {'; '.join(differences)}.", "Remove that folder."
        )
