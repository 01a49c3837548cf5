"""Reference images of a search: loaded as far as the query needs them, and known by their ids."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from likebut.errors import ImageError, UnknownImageError
from likebut.gallery.pictures import LEAST_SIDE, content_id
from likebut.gallery.queries import Reference, Shares
from likebut.gallery.requests import ImageSource
from likebut.gallery.store import GalleryStore, StoredImage
from likebut.images import as_rgb, decode, read_content


def load_references(
    store: GalleryStore, images: Sequence[ImageSource], image_ids: Sequence[str], shares: Shares
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


def _from_gallery(store: GalleryStore, image_ids: Sequence[str], shares: Shares) -> list[Reference]:
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
