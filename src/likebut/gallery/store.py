"""The interface of a gallery to the engine that stores its images and finds the nearest of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from likebut.gallery.fields import Field, Metadata, Value
from likebut.gallery.filters import Condition
from likebut.gallery.identity import GalleryIdentity

Vector = npt.NDArray[np.float32]
TargetEmbeddings = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class StoredImage:
    """What a gallery stores of an image, except its thumbnail and embeddings.

    Attributes:
        id: SHA-256 of the file's content.
        path: Last known path of a file with that content.
        file_bytes: Size of the file.
        taken: Date of the photograph, in the camera's local time.
        signature: 8×8 RGB miniature, 192 bytes, for detecting near-duplicates.
        metadata: The user's own fields.
    """

    id: str
    path: str
    file_bytes: int
    width: int
    height: int
    signature: bytes
    taken: datetime | None = None
    metadata: Metadata = field(default_factory=dict)

    def values(self) -> dict[str, Value]:
        """Return every field that has a value, including the built-in ones."""
        built_in: dict[str, Value] = {
            "path": self.path,
            "width": float(self.width),
            "height": float(self.height),
            "bytes": float(self.file_bytes),
        }
        if self.taken is not None:
            built_in["taken"] = self.taken
        return built_in | dict(self.metadata)


@dataclass(frozen=True, slots=True)
class NewImage:
    """An image to store, with its (N, E) float16 target embeddings and its JPEG thumbnail."""

    image: StoredImage
    embeddings: TargetEmbeddings
    thumbnail: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image found by a store, with the (N, E) float16 target embeddings for exact scoring."""

    image: StoredImage
    embeddings: TargetEmbeddings


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What is known of a file, so that it is read again only if it changed.

    Attributes:
        image_id: Id of the image in the file; None if the file was skipped.
        modified_ns: Modification time.
        reason: Why the file was skipped; otherwise empty.
    """

    path: str
    image_id: str | None
    file_bytes: int
    modified_ns: int
    reason: str = ""


@dataclass(frozen=True)
class SearchEffort:
    """Search parameters of an index; more effort is slower and has a higher recall. Ignored without an index.

    Attributes:
        probes: Number of partitions visited.
        refine: Number of candidates re-scored from full-precision vectors, as a multiple of the limit.
        candidates: Minimum number of candidates, however few hits are requested.
    """

    probes: int = 60
    refine: int = 5
    candidates: int = 50

    @classmethod
    def default(cls, tokens: int) -> "SearchEffort":
        """Return the default for N tokens per image: the index ranks tokens, so an image may take up N candidates."""
        return cls(candidates=max(cls.candidates, 6 * tokens))


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """The state of a store.

    Attributes:
        engine: Name and version.
        images: Number of images.
        search: "exact", or the type of the index.
        unindexed: Number of images that the index does not contain yet; they are searched exactly.
        disk_bytes: Size on disk; None if unknown.
        skipped: Number of files that could not be used.
    """

    engine: str
    images: int
    search: str
    unindexed: int
    disk_bytes: int | None
    skipped: int


class GalleryStore(Protocol):
    """Stores images, files and metadata fields.

    Methods are safe to call from several threads. Each change is atomic, durable when the method returns, and visible
    to every read that begins afterwards, in any process. Ids, paths and names are distinct within one call.
    """

    @property
    def identity(self) -> GalleryIdentity:
        """What the embeddings were computed with."""

    def fields(self) -> tuple[Field, ...]:
        """Return the user's metadata fields, in the order of their creation."""

    def add_fields(self, fields: Sequence[Field]) -> None:
        """Add metadata fields; existing fields, which have the same type, are ignored."""

    def put(self, images: Sequence[NewImage]) -> None:
        """Store images, replacing those with the same ids."""

    def update(self, images: Sequence[StoredImage]) -> None:
        """Replace everything but embeddings and thumbnail of existing images; unknown images are ignored."""

    def delete(self, ids: Iterable[str]) -> int:
        """Delete images and return how many existed."""

    def get(self, ids: Sequence[str]) -> dict[str, StoredImage]:
        """Return the existing images among ``ids``."""

    def embeddings(self, ids: Sequence[str]) -> dict[str, TargetEmbeddings]:
        """Return the target embeddings, (N, E) each, of the existing images among ``ids``."""

    def thumbnail(self, image_id: str) -> bytes | None:
        """Return the JPEG thumbnail of an image, if it exists."""

    def ids(self) -> set[str]:
        """Return the ids of all images."""

    def page(self, limit: int, offset: int = 0, conditions: Sequence[Condition] = ()) -> list[StoredImage]:
        """Return a page of the images that satisfy the conditions, in the order of insertion or of last change."""

    def count(self, conditions: Sequence[Condition] = ()) -> int:
        """Return how many images satisfy the conditions."""

    def nearest(
        self,
        query: Vector,
        limit: int,
        conditions: Sequence[Condition] = (),
        effort: SearchEffort | None = None,
        exact: bool = False,
    ) -> list[Candidate]:
        """Return at most ``limit`` images near a query, in no particular order.

        The similarity of an image is the largest cosine between the query and its N target embeddings.

        Args:
            query: (E,), not zero.
            limit: Maximum number of candidates.
            conditions: Only images that satisfy all of them are considered.
            effort: Search effort of the index; the store's own (:meth:`set_effort`) if None.
            exact: Whether to compare with every image even if there is an index.
        """

    def effort(self) -> SearchEffort:
        """Return the search effort."""

    def set_effort(self, effort: SearchEffort) -> None:
        """Set the search effort, persistently."""

    def setting(self, key: str) -> Any:
        """Return the JSON value stored under ``key``; None if there is none."""

    def set_setting(self, key: str, value: Any) -> None:
        """Store a JSON value under ``key``."""

    def put_files(self, entries: Sequence[FileEntry]) -> None:
        """Store file entries, replacing those with the same paths."""

    def remove_files(self, paths: Iterable[str]) -> None:
        """Remove file entries."""

    def files(self) -> dict[str, FileEntry]:
        """Return all file entries by path."""

    def optimise(self) -> None:
        """Update the index and compact the storage; reads and writes may run concurrently."""

    def health(self) -> StoreHealth:
        """Return the state of the store."""
