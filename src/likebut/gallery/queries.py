"""From images, texts and a weight to one query embedding."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from likebut.data.images import as_rgb, decode, read_content
from likebut.errors import ImageError, InputError, UnknownImageError
from likebut.gallery.identity import Embedder
from likebut.gallery.images import LEAST_SIDE, content_id
from likebut.gallery.requests import ImageSource
from likebut.gallery.scoring import l2_normalise
from likebut.gallery.store import GalleryStore, StoredImage, TargetEmbeddings, Vector

# How much of a negative text is subtracted, the query having length 1.
NEGATIVE_STRENGTH = 0.4


@dataclass(frozen=True, slots=True)
class QueryWeights:
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
    def of(cls, has_images: bool, has_text: bool, weight: float) -> "QueryWeights":
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
    retriever: Embedder, references: Sequence[Reference], text: str, negative: str, shares: QueryWeights
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
    return l2_normalise(l2_normalise(embeddings).mean(axis=0))


def _direction(vector: npt.NDArray[Any]) -> Vector:
    if not np.linalg.norm(vector) > 1e-6:
        raise InputError("The parts of the search cancel each other out.", "Leave out the negative text or an image.")
    return l2_normalise(vector)


def load_references(
    store: GalleryStore, images: Sequence[ImageSource], image_ids: Sequence[str], shares: QueryWeights
) -> tuple[list[Reference], set[str]]:
    """Return the references of a search, and the ids by which they may be in the gallery.

    A decoded picture has no id: it is not recognised in the gallery.

    Raises:
        ImageError: A file cannot be used.
        UnknownImageError: An id is not in the gallery.
    """
    needs_picture = shares.composed > 0 or shares.image > 0
    ids = set(image_ids)
    references = []
    for source in images:
        if isinstance(source, Image.Image):
            references.append(Reference(as_rgb(source)))
            continue
        content = source if isinstance(source, bytes) else read_content(source)
        ids.add(content_id(content))
        references.append(Reference(_decoded(source, content) if needs_picture else None))
    return references + _from_gallery(store, image_ids, shares), ids


def _decoded(source: Path | bytes, content: bytes) -> Image.Image:
    try:
        return decode(content, least_side=LEAST_SIDE)
    except ImageError as error:
        if isinstance(source, bytes):
            raise
        raise ImageError(f"The reference image {source} cannot be used: {error.problem}", error.remedy) from None


def _from_gallery(store: GalleryStore, image_ids: Sequence[str], shares: QueryWeights) -> list[Reference]:
    if not image_ids:
        return []
    known = store.get(image_ids)
    for image_id in image_ids:
        if image_id not in known:
            raise unknown_image(image_id)
    embeddings = store.embeddings(image_ids) if shares.image else {}
    return [
        Reference(
            picture_of(store, known[image_id]) if shares.composed else None,
            embeddings.get(image_id),
        )
        for image_id in image_ids
    ]


def picture_of(store: GalleryStore, image: StoredImage) -> Image.Image:
    """Return a stored image as RGB: from its file if that is unchanged, else from its thumbnail.

    Raises:
        UnknownImageError: It was deleted meanwhile.
    """
    try:
        content = read_content(Path(image.path))
        if content_id(content) == image.id:
            return decode(content, least_side=LEAST_SIDE)
    except ImageError:
        pass  # the file is gone or may not be read; what the gallery keeps is enough
    thumbnail = store.thumbnail(image.id)
    if thumbnail is None:
        raise unknown_image(image.id)
    return decode(thumbnail)


def unknown_image(image_id: str) -> UnknownImageError:
    """Return the error for an id that a gallery does not hold."""
    return UnknownImageError(
        f'The gallery has no image "{image_id[:64]}".', "It may have been deleted: search again for one that is there."
    )
