"""Embedding a search request: reference images, texts and a weight become one query embedding."""

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
from likebut.gallery.similarity import l2_normalise
from likebut.gallery.store import GalleryStore, StoredImage, TargetEmbeddings, Vector

# Weight of the negative text's embedding, which is subtracted from the L2-normalised query.
NEGATIVE_STRENGTH = 0.4


@dataclass(frozen=True, slots=True)
class QueryWeights:
    """Weights of the components of a query; they sum to 1.

    Attributes:
        text: Of the embedding of the text alone.
        composed: Of the composed query.
        image: Of the target embeddings of the reference images.
    """

    text: float = 0.0
    composed: float = 0.0
    image: float = 0.0

    @classmethod
    def of(cls, has_images: bool, has_text: bool, weight: float) -> "QueryWeights":
        """Return the weights for a request: 0 is text alone, 0.5 the composed query, 1 images alone, else a blend."""
        if not has_images:
            return cls(text=1.0)
        if not has_text:
            return cls(image=1.0)
        return cls(text=max(0.0, 1 - 2 * weight), composed=1 - abs(2 * weight - 1), image=max(0.0, 2 * weight - 1))

    @property
    def uses_text(self) -> bool:
        """Whether the text contributes to the query."""
        return self.text > 0 or self.composed > 0


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference image: RGB pixels, (N, E) target embeddings, or both, depending on the query weights."""

    image: Image.Image | None = None
    embeddings: TargetEmbeddings | None = None


def embed_query(
    retriever: Embedder, references: Sequence[Reference], text: str, negative: str, weights: QueryWeights
) -> Vector:
    """Return the L2-normalised query embedding: (E,).

    Composed queries and target embeddings are averaged over the references. The embedding of the negative text is
    subtracted: since similarity is linear in the query, this lowers the score of each image in proportion to its
    similarity to that text.

    Raises:
        InputError: The components sum to zero.
    """
    query = np.zeros(retriever.embedding_size, dtype=np.float32)
    if weights.text:
        query += weights.text * retriever.embed_texts([text])[0]
    if weights.composed:
        images = [reference.image for reference in references if reference.image is not None]
        composed = retriever.embed_queries(images, [text] * len(images))
        query += weights.composed * _normalise_nonzero(composed.mean(axis=0))
    if weights.image:
        stored = [reference.embeddings for reference in references if reference.embeddings is not None]
        others = [each.image for each in references if each.embeddings is None and each.image is not None]
        targets = [*stored, *(retriever.embed_images(others) if others else ())]
        pooled = [l2_normalise(l2_normalise(each).mean(axis=0)) for each in targets]
        query += weights.image * _normalise_nonzero(np.mean(pooled, axis=0))
    if negative:
        query = _normalise_nonzero(query) - NEGATIVE_STRENGTH * retriever.embed_texts([negative])[0]
    return _normalise_nonzero(query)


def load_references(
    store: GalleryStore, images: Sequence[ImageSource], image_ids: Sequence[str], weights: QueryWeights
) -> tuple[list[Reference], set[str]]:
    """Load the reference images of a search.

    Returns:
        The references, and the ids that they have if they are in the gallery. A decoded image has no id, so it is not
        recognised in the gallery.

    Raises:
        ImageError: A file cannot be used.
        UnknownImageError: An id is not in the gallery.
    """
    needs_pixels = weights.composed > 0 or weights.image > 0
    ids = set(image_ids)
    references = []
    for source in images:
        if isinstance(source, Image.Image):
            references.append(Reference(as_rgb(source)))
            continue
        content = source if isinstance(source, bytes) else read_content(source)
        ids.add(content_id(content))
        references.append(Reference(_decode(source, content) if needs_pixels else None))
    known = store.get(image_ids)
    for image_id in image_ids:
        if image_id not in known:
            raise unknown_image(image_id)
    embeddings = store.embeddings(image_ids) if weights.image else {}
    for image_id in image_ids:
        pixels = load_stored_image(store, known[image_id]) if weights.composed else None
        references.append(Reference(pixels, embeddings.get(image_id)))
    return references, ids


def load_stored_image(store: GalleryStore, image: StoredImage) -> Image.Image:
    """Return a stored image as RGB: from its file if that is unchanged, else from its thumbnail.

    Raises:
        UnknownImageError: The image was deleted concurrently.
    """
    try:
        content = read_content(Path(image.path))
        if content_id(content) == image.id:
            return decode(content, least_side=LEAST_SIDE)
    except ImageError:
        pass  # the file is missing or not readable
    thumbnail = store.thumbnail(image.id)
    if thumbnail is None:
        raise unknown_image(image.id)
    return decode(thumbnail)


def unknown_image(image_id: str) -> UnknownImageError:
    """Return the error for an id that is not in a gallery."""
    return UnknownImageError(
        f'The gallery has no image "{image_id[:64]}".', "It may have been deleted; search again for an existing one."
    )


def _decode(source: Path | bytes, content: bytes) -> Image.Image:
    try:
        return decode(content, least_side=LEAST_SIDE)
    except ImageError as error:
        if isinstance(source, bytes):
            raise
        raise ImageError(f"The reference image {source} cannot be used: {error.problem}", error.remedy) from None


def _normalise_nonzero(vector: npt.NDArray[Any]) -> Vector:
    if not np.linalg.norm(vector) > 1e-6:
        raise InputError(
            "The components of the query cancel each other out.",
            "Leave out the negative text or a reference image.",
            code="zero-query",
        )
    return l2_normalise(vector)
