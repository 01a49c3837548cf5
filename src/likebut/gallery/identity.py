"""The interface between a gallery and a retriever (:class:`likebut.Retriever` implements it), and its identity."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from likebut.errors import InputError

Embeddings = npt.NDArray[np.float32]
FORMAT = 1
_DUAL = "dual/"
_QUERY_WEIGHT = re.compile(r"@[^@/]*$")


class ModelIdentity(Protocol):
    """What determines a retriever's embeddings."""

    @property
    def model(self) -> str:
        """Kind and preset."""

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the trained weights."""

    @property
    def vision(self) -> str:
        """Name of the frozen vision encoder, with the hash of its weights."""

    @property
    def preprocessing(self) -> str:
        """Fingerprint of the preprocessing."""


class Embedder(Protocol):
    """Embeds images and queries; all embeddings are L2-normalised. Methods are safe to call from several threads."""

    @property
    def identity(self) -> ModelIdentity:
        """What determines the embeddings."""

    @property
    def query_tokens(self) -> int:
        """N, the number of embeddings of an image."""

    @property
    def embedding_size(self) -> int:
        """E, the width of an embedding."""

    def embed_images(self, images: Sequence[Image.Image]) -> Embeddings:
        """Return target embeddings of images: (B, N, E)."""

    def embed_queries(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Embeddings:
        """Return composed queries of reference images and their modification texts: (B, E)."""

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return queries of texts alone: (B, E)."""

    def is_truncated(self, text: str) -> bool:
        """Return whether a text has more tokens than the model reads, so that its end is ignored."""


@dataclass(frozen=True, slots=True, eq=False)
class GalleryIdentity:
    """What the embeddings of a gallery were computed with. Equal identities have comparable embeddings.

    Attributes:
        model: Kind and preset. For a dual encoder this is only a label, because its images are embedded with the vision
            encoder alone, which ``vision`` identifies.
        weights_sha256: SHA-256 of the trained weights.
        vision: Name of the frozen vision encoder, with the hash of its weights.
        preprocessing: Fingerprint of the preprocessing.
        tokens: N, the number of embeddings of an image.
        width: E, the width of an embedding.
        format: Version of the storage format.
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
        """Return the identity of a gallery filled with ``retriever``."""
        identity = retriever.identity
        is_dual = identity.model.startswith(_DUAL)
        return cls(
            # The query weight of a dual encoder ("dual:owner/name@0.3") does not affect stored embeddings.
            model=_QUERY_WEIGHT.sub("", identity.model) if is_dual else identity.model,
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
            InputError: The gallery has another storage format.
        """
        if value.get("format") != FORMAT:
            raise InputError(
                f"The gallery {where} has format {value.get('format')}, but this version of likebut reads {FORMAT}.",
                f"Index the images again: `likebut index FOLDER --gallery {where} --rebuild`.",
                code="unknown-gallery-format",
            )
        return cls(**value)

    def to_json(self) -> dict[str, Any]:
        """Return the identity as a JSON object."""
        return asdict(self)

    def __eq__(self, other: object) -> bool:
        """Return whether embeddings of both can be compared."""
        return isinstance(other, GalleryIdentity) and self._key() == other._key()

    def __hash__(self) -> int:
        """Return a hash consistent with equality."""
        return hash(self._key())

    def __str__(self) -> str:
        """Return a description that identifies the model for a person."""
        weights = self.weights_sha256[:12] or "untrained"
        return f"{self.model} (weights {weights}, vision {self.vision}, preprocessing {self.preprocessing})"

    def _key(self) -> tuple[object, ...]:
        # Version 0.1 recorded a dual encoder's name with its query weight, and possibly as a relative path.
        model = _DUAL if self.model.startswith(_DUAL) else self.model
        return model, self.weights_sha256, self.vision, self.preprocessing, self.tokens, self.width, self.format


def require_same(recorded: GalleryIdentity, given: GalleryIdentity, where: str) -> None:
    """Check that a retriever's embeddings can be compared with those of a gallery.

    Raises:
        InputError: They cannot; the message names both identities and the command that re-indexes.
    """
    if recorded != given:
        raise InputError(
            f"The gallery {where} was made with {recorded}, whose embeddings cannot be compared with those of {given}.",
            f"Open it with its own model, or index again: "
            f"`likebut index FOLDER --gallery {where} --model MODEL --rebuild`.",
            code="gallery-model-mismatch",
        )
