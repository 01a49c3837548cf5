"""What a gallery asks of the engine that keeps its images and finds the nearest of them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from likebut.data.images import SkippedImage, images_below
from likebut.files import is_gone
from likebut.gallery.fields import Field, Metadata, Value
from likebut.gallery.filters import Condition
from likebut.gallery.identity import GalleryIdentity

Vector = npt.NDArray[np.float32]
TargetEmbeddings = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class StoredImage:
    """What a gallery keeps of an image, but for its thumbnail and its embeddings.

    Attributes:
        id: SHA-256 of the file's content.
        path: Of one file with that content, when it was last seen.
        file_bytes: Size of the file.
        taken: When the photograph was taken, by the camera's clock.
        signature: 8×8 RGB miniature, 192 bytes, by which near-duplicates are told from look-alikes.
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
        """Return the value of every field that has one, the built-in ones included."""
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
    """An image to be stored: (N, E) float16 target embeddings and a JPEG thumbnail beside the rest."""

    image: StoredImage
    embeddings: TargetEmbeddings
    thumbnail: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that the store found, with the (N, E) float16 target embeddings to score it by."""

    image: StoredImage
    embeddings: TargetEmbeddings


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What is known of a file, so that it is read again only when it changed.

    Attributes:
        image_id: The image it holds; None if it was set aside.
        modified_ns: Its modification time.
        reason: Why it was set aside; empty otherwise.
    """

    path: str
    image_id: str | None
    file_bytes: int
    modified_ns: int
    reason: str = ""


@dataclass(frozen=True)
class SearchEffort:
    """How hard an index looks; more is slower and finds more. A store without an index takes no notice.

    Attributes:
        probes: Clusters of the index that are visited.
        refine: How many times the candidates asked for are re-scored exactly.
        candidates: The least number of candidates, however few hits are wanted.
    """

    probes: int = 60
    refine: int = 5
    candidates: int = 50

    @classmethod
    def usual(cls, tokens: int) -> "SearchEffort":
        """Return the effort for images of N tokens: an index that ranks tokens must look past an image's own."""
        return cls(candidates=max(cls.candidates, 6 * tokens))


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """The state of a store.

    Attributes:
        engine: Its name and version.
        images: How many there are.
        search: "exact", or the kind of the index.
        unindexed: Images that the index does not hold yet; they are searched exactly.
        disk_bytes: None where that is not known.
        skipped: Files that could not be used.
    """

    engine: str
    images: int
    search: str
    unindexed: int
    disk_bytes: int | None
    skipped: int


class GalleryStore(Protocol):
    """Keeps images and files, and finds candidates. Every method may be called from several threads.

    A method that changes something returns when the change is durable and visible to every later read, from
    whatever process. Each change is atomic: a reader sees all of it or none.
    """

    @property
    def identity(self) -> GalleryIdentity:
        """What the embeddings were made with."""

    def fields(self) -> tuple[Field, ...]:
        """Return the user's metadata fields, in the order in which they came."""

    def add_fields(self, fields: Sequence[Field]) -> None:
        """Add metadata fields; those that are there already, with the same type, are left."""

    def put(self, images: Sequence[NewImage]) -> None:
        """Store images, replacing those with the same ids. No id may come twice."""

    def update(self, images: Sequence[StoredImage]) -> None:
        """Replace all but embeddings and thumbnail of images that are there; others are left out."""

    def delete(self, ids: Iterable[str]) -> int:
        """Remove images, and return how many there were."""

    def get(self, ids: Sequence[str]) -> dict[str, StoredImage]:
        """Return those images that are there."""

    def embeddings(self, ids: Sequence[str]) -> dict[str, TargetEmbeddings]:
        """Return the target embeddings, (N, E) each, of those images that are there."""

    def thumbnail(self, image_id: str) -> bytes | None:
        """Return an image's thumbnail as JPEG."""

    def ids(self) -> set[str]:
        """Return the ids of all images."""

    def page(self, limit: int, offset: int = 0, conditions: Sequence[Condition] = ()) -> list[StoredImage]:
        """Return some images that satisfy the conditions, in the order of their ids or of their arrival."""

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

        Nearness is the largest cosine between the (E,) query and an image's N target embeddings.

        Args:
            query: (E,), not zero.
            limit: How many candidates.
            conditions: Only images that satisfy all of them count.
            effort: How hard the index looks; what was last kept with :meth:`keep_effort` if none.
            exact: Compare with every image, whether there is an index or not.
        """

    def effort(self) -> SearchEffort:
        """Return the effort that searches take."""

    def keep_effort(self, effort: SearchEffort) -> None:
        """Make ``effort`` what searches take from now on."""

    def setting(self, key: str) -> Any:
        """Return a JSON value that was kept under ``key``; None if there is none."""

    def keep_setting(self, key: str, value: Any) -> None:
        """Keep a JSON value under ``key``."""

    def put_files(self, entries: Sequence[FileEntry]) -> None:
        """Remember files, replacing what was known of the same paths."""

    def remove_files(self, paths: Iterable[str]) -> None:
        """Forget files."""

    def files(self) -> dict[str, FileEntry]:
        """Return all known files by path."""

    def optimise(self) -> None:
        """Bring the index up to date and tidy the storage; readers and writers may go on meanwhile."""

    def health(self) -> StoreHealth:
        """Return the state of the store."""


def holders_of(entries: Iterable[FileEntry]) -> dict[str, set[str]]:
    """Return the paths of the files that hold each image."""
    holders: dict[str, set[str]] = {}
    for entry in entries:
        if entry.image_id is not None:
            holders.setdefault(entry.image_id, set()).add(entry.path)
    return holders


def forget_missing(store: GalleryStore, root: Path) -> tuple[int, list[SkippedImage]]:
    """Forget the files that are gone from below ``root``; return how many images went, and folders not to be listed.

    What lies below a folder that cannot be listed is not gone, as far as anybody knows.

    Raises:
        InputError: There is no such folder, or no picture in it.
    """
    images, unlisted = images_below(root)
    there = {str(image.path) for image in images}
    hidden = [Path(each.name) for each in unlisted]
    gone = [
        name
        for name in store.files()
        if name not in there
        and (path := Path(name)).is_relative_to(root)
        and not any(path.is_relative_to(folder) for folder in hidden)
    ]
    return forget_files(store, gone), unlisted


def forget_files(store: GalleryStore, gone: Sequence[str]) -> int:
    """Forget files that are gone, remove the images that no other file holds, and return how many those were.

    An image that another file holds is named after that file from then on.
    """
    holders = holders_of(store.files().values())
    lost = set(gone)
    touched = [image_id for image_id, paths in holders.items() if not paths.isdisjoint(lost)]
    removed = store.delete([image_id for image_id in touched if holders[image_id] <= lost])
    images = store.get([image_id for image_id in touched if not holders[image_id] <= lost])
    renamed = [replace(image, path=min(holders[image.id] - lost)) for image in images.values() if image.path in lost]
    store.update(renamed)
    store.remove_files(gone)
    return removed


def name_after_present(
    store: GalleryStore, holders: Mapping[str, Collection[str]]
) -> tuple[set[str], dict[str, set[str]]]:
    """Forget files that are gone though others hold their images, and name the images after a file that is there.

    Args:
        store: Where the images are.
        holders: Of the images in question; those of which no file is left stay as they are.

    Returns:
        The images that got another name, and the files of each image that are gone.
    """
    lost = {image_id: {path for path in paths if is_gone(Path(path))} for image_id, paths in holders.items()}
    gone = {image_id: paths for image_id, paths in lost.items() if paths and len(paths) < len(holders[image_id])}
    named = [image for image in store.get(list(gone)).values() if image.path in gone[image.id]]
    store.update([replace(image, path=min(set(holders[image.id]) - gone[image.id])) for image in named])
    store.remove_files([path for paths in gone.values() for path in paths])
    return {image.id for image in named}, gone
