"""What the verbs that use a gallery share: where it is, and the retriever that it was made with."""

from pathlib import Path
from typing import TYPE_CHECKING

from likebut.errors import InputError

if TYPE_CHECKING:
    from likebut.gallery.gallery import Gallery
    from likebut.gallery.identity import GalleryIdentity


DEFAULT_MODEL = "small"
_MODEL = "model"
_REBUILDING = "rebuilding"


def open_gallery(location: str, model: str | None = None, device: str | None = None, create: bool = False) -> "Gallery":
    """Return a gallery with a retriever: the one named, else the one that the gallery was made with.

    Args:
        location: A folder, or an object-store URI.
        model: A trained retriever: a name or a folder.
        device: cpu or cuda; the GPU if there is one.
        create: Whether to make a gallery that is not there.

    Raises:
        InputError: There is no gallery, or it was made with another retriever.
        MissingWeightsError: The retriever is not on this machine.
    """
    recorded = recorded_model(location, create)
    from likebut.gallery.gallery import Gallery
    from likebut.retriever.retriever import Retriever

    name = model or recorded or DEFAULT_MODEL
    gallery = Gallery.open(location, Retriever.from_pretrained(name, device), create)
    if create and recorded != _lasting(name):
        gallery.store.keep_setting(_MODEL, _lasting(name))
    return gallery


def open_for_rebuilding(location: str, model: str | None, device: str | None, source: str) -> "Gallery":
    """Return an empty gallery in place of the one there; one whose rebuilding was stopped, as far as it had got.

    Nothing is removed before the retriever is loaded. :func:`rebuilt` is to be called once the gallery is filled.

    Args:
        location: A folder, or an object-store URI.
        model: A trained retriever; the one that the gallery was made with if None.
        device: cpu or cuda; the GPU if there is one.
        source: What the gallery is to be filled from: a stopped rebuilding from something else is not gone on with.

    Raises:
        InputError: There is no such retriever, or something else is at ``location``.
        MissingWeightsError: The retriever is not on this machine.
    """
    from likebut.gallery.gallery import Gallery
    from likebut.gallery.identity import GalleryIdentity
    from likebut.gallery.lance_tables import remove_gallery
    from likebut.retriever.retriever import Retriever

    name = model or recorded_model(location, may_be_missing=True) or DEFAULT_MODEL
    retriever = Retriever.from_pretrained(name, device)
    if not _is_being_rebuilt(location, GalleryIdentity.of(retriever), source):
        remove_gallery(location)
    gallery = Gallery.open(location, retriever)
    gallery.store.keep_setting(_MODEL, _lasting(name))
    gallery.store.keep_setting(_REBUILDING, source)
    return gallery


def rebuild_source(folder: Path, metadata: Path | None = None) -> str:
    """Return the ``source`` of :func:`open_for_rebuilding` for a folder: its path and a fingerprint of its metadata.

    Raises:
        InputError: The folder is missing or its metadata file is faulty. Call this before the gallery is emptied.
    """
    from likebut.data.images import images_below
    from likebut.files import fingerprint, normal_path
    from likebut.gallery.fields import infer_fields
    from likebut.gallery.gallery import metadata_for

    images_below(folder)
    table = metadata_for([folder], metadata)
    rows = {name: dict(row.values) for name, row in table.rows.items()} if table else {}
    infer_fields(rows.values(), {})
    return f"{normal_path(folder)} {fingerprint(rows)}"


def rebuilt(gallery: "Gallery") -> None:
    """Note that the gallery is whole: if it was being rebuilt, that is done, and the next rebuilding begins anew."""
    if gallery.store.setting(_REBUILDING):
        gallery.store.keep_setting(_REBUILDING, None)


def _is_being_rebuilt(location: str, identity: "GalleryIdentity", source: str) -> bool:
    from likebut.gallery.lance_store import LanceStore

    try:
        store = LanceStore(location)
        return store.identity == identity and bool(store.setting(_REBUILDING) == source)
    except InputError:
        return False


def _lasting(name: str) -> str:
    """Return the name of a retriever as it holds in every folder."""
    from likebut.models.model_folder import model_folder_in

    return name if model_folder_in(Path(name), "retriever") is None else str(Path(name).absolute())


def recorded_model(location: str, may_be_missing: bool = False) -> str | None:
    """Return the name or folder of the retriever that a gallery was made with, if it is known.

    Raises:
        InputError: There is no gallery, and ``may_be_missing`` is false.
    """
    from likebut.gallery.lance_store import LanceStore

    try:
        recorded = LanceStore(location).setting(_MODEL)
    except InputError:
        if not may_be_missing:
            raise
        return None
    return None if recorded is None else str(recorded)
