"""From images, texts and a weight to one query embedding."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from likebut.errors import InputError
from likebut.gallery.embedder import Embedder
from likebut.gallery.scoring import normalised
from likebut.gallery.store import TargetEmbeddings, Vector

# How much of a negative text is subtracted, the query having length 1.
NEGATIVE_STRENGTH = 0.4


@dataclass(frozen=True, slots=True)
class Shares:
    """What a query is made of; the three add up to 1.

    Attributes:
        text: Of the text's own embedding.
        composed: Of the composed query.
        image: Of the images' target embeddings.
    """

    text: float = 0.0
    composed: float = 0.0
    image: float = 0.0

    @classmethod
    def of(cls, has_images: bool, has_text: bool, weight: float) -> "Shares":
        """Return the shares for a weight: 0 is text, 0.5 the composed query, 1 image, and between them a blend."""
        if not has_images:
            return cls(text=1.0)
        if not has_text:
            return cls(image=1.0)
        return cls(text=max(0.0, 1 - 2 * weight), composed=1 - abs(2 * weight - 1), image=max(0.0, 2 * weight - 1))


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference image, with as much as the shares need: its RGB picture, its (N, E) target embeddings, or both."""

    picture: Image.Image | None = None
    embeddings: TargetEmbeddings | None = None


def embed_query(
    retriever: Embedder, references: Sequence[Reference], text: str, negative: str, shares: Shares
) -> Vector:
    """Return the query embedding (E,), of length 1.

    Composed queries and target embeddings are averaged over the references. A negative text's embedding is
    subtracted: since similarity is linear in the query, that lowers every image by what it shares with the text.

    Raises:
        InputError: The parts cancel each other out.
    """
    query = np.zeros(retriever.embedding_size, dtype=np.float32)
    if shares.text:
        query += shares.text * retriever.embed_texts([text])[0]
    if shares.composed:
        pictures = [reference.picture for reference in references if reference.picture is not None]
        composed = retriever.embed_queries(pictures, [text] * len(pictures))
        query += shares.composed * _direction(composed.mean(axis=0))
    if shares.image:
        query += shares.image * _image_embedding(retriever, references)
    if negative:
        query = _direction(query) - NEGATIVE_STRENGTH * retriever.embed_texts([negative])[0]
    return _direction(query)


def _image_embedding(retriever: Embedder, references: Sequence[Reference]) -> Vector:
    """Return the mean direction of the references' target embeddings: (E,)."""
    known = [_pooled(reference.embeddings) for reference in references if reference.embeddings is not None]
    unseen = [
        reference.picture for reference in references if reference.embeddings is None and reference.picture is not None
    ]
    fresh = [_pooled(embeddings) for embeddings in retriever.embed_images(unseen)] if unseen else []
    return _direction(np.mean([*known, *fresh], axis=0))


def _pooled(embeddings: npt.NDArray[Any]) -> Vector:
    return normalised(normalised(embeddings).mean(axis=0))


def _direction(vector: npt.NDArray[Any]) -> Vector:
    if not np.linalg.norm(vector) > 1e-6:
        raise InputError("The parts of the search cancel each other out.", "Leave out the negative text or an image.")
    return normalised(vector)
