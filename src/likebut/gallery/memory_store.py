"""A store in memory with exact search: the reference implementation for recall, and for small tests."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from likebut.gallery.fields import Field
from likebut.gallery.filters import Condition, matches
from likebut.gallery.identity import GalleryIdentity
from likebut.gallery.similarity import score
from likebut.gallery.store import (
    Candidate,
    FileEntry,
    NewImage,
    SearchEffort,
    StoredImage,
    StoreHealth,
    TargetEmbeddings,
    Vector,
)


class MemoryStore:
    """A :class:`~likebut.gallery.store.GalleryStore` in dictionaries; nothing is persisted.

    Args:
        identity: What the embeddings are computed with.
    """

    def __init__(self, identity: GalleryIdentity) -> None:
        self._identity = identity
        self._images: dict[str, NewImage] = {}
        self._files: dict[str, FileEntry] = {}
        self._fields: dict[str, Field] = {}
        self._effort = SearchEffort.default(identity.tokens)
        self._settings: dict[str, Any] = {}
        self._lock = threading.RLock()

    @property
    def identity(self) -> GalleryIdentity:
        """What the embeddings were computed with."""
        return self._identity

    def fields(self) -> tuple[Field, ...]:
        """Return the user's metadata fields, in the order of their creation."""
        return tuple(self._fields.values())

    def add_fields(self, fields: Sequence[Field]) -> None:
        """Add metadata fields; existing ones are ignored."""
        with self._lock:
            for field in fields:
                self._fields.setdefault(field.name, field)

    def put(self, images: Sequence[NewImage]) -> None:
        """Store images, replacing those with the same ids."""
        with self._lock:
            self._images |= {new.image.id: new for new in images}

    def update(self, images: Sequence[StoredImage]) -> None:
        """Replace everything but embeddings and thumbnail of existing images."""
        with self._lock:
            for image in images:
                if image.id in self._images:
                    self._images[image.id] = replace(self._images[image.id], image=image)

    def delete(self, ids: Iterable[str]) -> int:
        """Delete images and return how many existed."""
        with self._lock:
            return sum(self._images.pop(image_id, None) is not None for image_id in ids)

    def get(self, ids: Sequence[str]) -> dict[str, StoredImage]:
        """Return the existing images among ``ids``."""
        with self._lock:
            return {image_id: self._images[image_id].image for image_id in ids if image_id in self._images}

    def embeddings(self, ids: Sequence[str]) -> dict[str, TargetEmbeddings]:
        """Return the target embeddings, (N, E) each, of the existing images among ``ids``."""
        with self._lock:
            return {image_id: self._images[image_id].embeddings for image_id in ids if image_id in self._images}

    def thumbnail(self, image_id: str) -> bytes | None:
        """Return the JPEG thumbnail of an image, if it exists."""
        new = self._images.get(image_id)
        return new.thumbnail if new else None

    def ids(self) -> set[str]:
        """Return the ids of all images."""
        with self._lock:
            return set(self._images)

    def page(self, limit: int, offset: int = 0, conditions: Sequence[Condition] = ()) -> list[StoredImage]:
        """Return a page of the images that satisfy the conditions, in the order of insertion."""
        return [new.image for new in self._matching(conditions)][offset : offset + limit]

    def count(self, conditions: Sequence[Condition] = ()) -> int:
        """Return how many images satisfy the conditions."""
        return len(self._matching(conditions))

    def nearest(
        self,
        query: Vector,
        limit: int,
        conditions: Sequence[Condition] = (),
        effort: SearchEffort | None = None,
        exact: bool = False,
    ) -> list[Candidate]:
        """Return the ``limit`` images nearest to the (E,) query; always exact."""
        found = self._matching(conditions)
        if not found:
            return []
        scores = score(query, np.stack([new.embeddings for new in found]))
        best = np.argsort(-scores, kind="stable")[:limit]
        return [Candidate(found[position].image, found[position].embeddings) for position in best]

    def effort(self) -> SearchEffort:
        """Return the search effort, which has no effect."""
        return self._effort

    def set_effort(self, effort: SearchEffort) -> None:
        """Set the search effort."""
        self._effort = effort

    def setting(self, key: str) -> Any:
        """Return the value stored under ``key``; None if there is none."""
        return self._settings.get(key)

    def set_setting(self, key: str, value: Any) -> None:
        """Store a value under ``key``."""
        self._settings[key] = value

    def put_files(self, entries: Sequence[FileEntry]) -> None:
        """Store file entries, replacing those with the same paths."""
        with self._lock:
            self._files |= {entry.path: entry for entry in entries}

    def remove_files(self, paths: Iterable[str]) -> None:
        """Remove file entries."""
        with self._lock:
            for path in paths:
                self._files.pop(path, None)

    def files(self) -> dict[str, FileEntry]:
        """Return all file entries by path."""
        with self._lock:
            return dict(self._files)

    def optimise(self) -> None:
        """Do nothing: there is no index."""

    def health(self) -> StoreHealth:
        """Return the state of the store."""
        skipped = sum(entry.image_id is None for entry in self.files().values())
        return StoreHealth("memory", len(self._images), "exact", 0, None, skipped)

    def _matching(self, conditions: Sequence[Condition]) -> list[NewImage]:
        with self._lock:
            return [new for new in self._images.values() if matches(conditions, new.image.values())]
