"""Images and stores for the contract tests."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from likebut.gallery.fields import Field, FieldType, Value
from likebut.gallery.identity import GalleryIdentity
from likebut.gallery.lance_store import LanceStore
from likebut.gallery.memory_store import MemoryStore
from likebut.gallery.resident import is_available
from likebut.gallery.store import GalleryStore, NewImage, StoredImage

TOKENS, WIDTH = 3, 8
IDENTITY = GalleryIdentity("fake", "w", "v", "p", TOKENS, WIDTH)
# "resident" searches through a snapshot of the first images that were put, and changes since.
KINDS = ("memory", "lance", *(("resident",) if is_available() else ()))
FIELDS = (
    Field("colour", FieldType.TEXT),
    Field("price", FieldType.NUMBER),
    Field("kids", FieldType.BOOLEAN),
    Field("day", FieldType.DATE),
    Field("tags", FieldType.LABELS),
)


def make_store(kind: str, folder: Path) -> GalleryStore:
    if kind == "memory":
        return MemoryStore(IDENTITY)
    return ResidentStore(folder / kind) if kind == "resident" else LanceStore(folder / kind, IDENTITY, resident_bytes=0)


class ResidentStore(LanceStore):
    """A store with a snapshot of the first images that are put, however few they are."""

    def __init__(self, location: Path, identity: GalleryIdentity = IDENTITY) -> None:
        super().__init__(location, identity, resident_bytes=1 << 30)

    def put(self, images: Sequence[NewImage]) -> None:
        super().put(images)
        if images and self._resident is not None and self._resident.view(any_age=True) is None:
            self._resident.build()


def identifier(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def embeddings_of(number: int) -> npt.NDArray[np.float16]:
    values = np.random.default_rng(number).standard_normal((TOKENS, WIDTH)).astype(np.float32)
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float16)


def sample(number: int, **metadata: Value) -> NewImage:
    image = StoredImage(
        id=identifier(number),
        path=f"/pictures/{number}.jpg",
        file_bytes=1000 + number,
        width=100 + number,
        height=50,
        signature=np.random.default_rng(number).integers(0, 256, 192, dtype=np.uint8).tobytes(),
        taken=datetime(2020, 1, 1 + number % 28, 12, 30) if number % 2 else None,
        metadata=metadata,
    )
    return NewImage(image, embeddings_of(number), b"jpeg" + bytes([number % 256]))


def query(seed: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(1_000_000 + seed).standard_normal(WIDTH).astype(np.float32)


def naive_scores(asked: npt.NDArray[np.float32], images: Sequence[NewImage]) -> dict[str, float]:
    """The definition, one number at a time: the largest cosine of the query with an image's embeddings."""
    scores = {}
    for new in images:
        cosines = []
        for token in new.embeddings.astype(np.float64):
            cosines.append(
                sum(a * b for a, b in zip(asked, token, strict=True)) / (np.linalg.norm(asked) * np.linalg.norm(token))
            )
        scores[new.image.id] = max(cosines)
    return scores
