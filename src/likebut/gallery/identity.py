"""What a gallery asks of a retriever; :class:`likebut.Retriever` is one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from likebut.errors import InputError

Embeddings = npt.NDArray[np.float32]


class ModelIdentity(Protocol):
    """What makes two sets of embeddings comparable."""

    @property
    def model(self) -> str:
        """Kind and preset."""

    @property
    def weights_sha256(self) -> str:
        """Of the trained weights."""

    @property
    def vision(self) -> str:
        """Name of the frozen vision encoder, with its weights' hash."""

    @property
    def preprocessing(self) -> str:
        """Fingerprint of the preprocessing."""


class Embedder(Protocol):
    """Embeds images and queries; every embedding has length 1. Must be safe to call from several threads."""

    @property
    def identity(self) -> ModelIdentity:
        """What a gallery records."""

    @property
    def query_tokens(self) -> int:
        """N, the embeddings of an image."""

    @property
    def embedding_size(self) -> int:
        """E, the width of an embedding."""

    def embed_images(self, images: Sequence[Image.Image]) -> Embeddings:
        """Return (n, N, E) target embeddings of images."""

    def embed_queries(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Embeddings:
        """Return (n, E) composed queries of reference images and their modification texts."""

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return (n, E) queries from texts alone."""


FORMAT = 1


@dataclass(frozen=True, slots=True)
class GalleryIdentity:
    """The retriever whose embeddings a gallery holds.

    Attributes:
        model: Kind and preset.
        weights_sha256: Of the trained weights.
        vision: Name of the frozen vision encoder, with its weights' hash.
        preprocessing: Fingerprint of the preprocessing.
        tokens: N, the embeddings of an image.
        width: E, the width of an embedding.
        format: Version of the stored form.
    """

    model: str
    weights_sha256: str
    vision: str
    preprocessing: str
    tokens: int
    width: int
    format: int = FORMAT

    @classmethod
    def of(cls, retriever: Embedder) -> "GalleryIdentity":
        """Return the identity that a gallery made with ``retriever`` has."""
        identity = retriever.identity
        return cls(
            model=identity.model,
            weights_sha256=identity.weights_sha256,
            vision=identity.vision,
            preprocessing=identity.preprocessing,
            tokens=retriever.query_tokens,
            width=retriever.embedding_size,
        )

    @classmethod
    def from_json(cls, value: dict[str, Any], where: str) -> "GalleryIdentity":
        """Return the identity that a gallery recorded.

        Raises:
            InputError: It was written by another version of the format.
        """
        if value.get("format") != FORMAT:
            raise InputError(
                f"The gallery {where} has format {value.get('format')}, but this likebut reads format {FORMAT}.",
                f"Index the pictures again: `likebut index FOLDER --gallery {where} --rebuild`.",
            )
        return cls(**value)

    def to_json(self) -> dict[str, Any]:
        """Return the identity as a JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        """Name the model so that a person can tell it from another."""
        weights = self.weights_sha256[:12] or "untrained"
        return f"{self.model} (weights {weights}, vision {self.vision}, preprocessing {self.preprocessing})"


def require_same(recorded: GalleryIdentity, given: GalleryIdentity, where: str) -> None:
    """Refuse a retriever other than the one that a gallery was made with.

    Raises:
        InputError: They differ; the message names both and the command that re-indexes.
    """
    if recorded != given:
        raise InputError(
            f"The gallery {where} was made with {recorded}, which cannot be compared with {given}.",
            f"Open it with its own model, or index again: "
            f"`likebut index FOLDER --gallery {where} --model MODEL --rebuild`.",
        )
