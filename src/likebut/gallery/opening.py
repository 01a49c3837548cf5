"""Opening and rebuilding galleries by location, with the retriever that they record."""

from pathlib import Path
from typing import TYPE_CHECKING

from likebut.errors import InputError

if TYPE_CHECKING:
    from likebut.gallery.gallery import Gallery


DEFAULT_MODEL = "small"
_MODEL = "model"
_REBUILDING = "rebuilding"


def open_gallery(location: str, model: str | None = None, device: str | None = None, create: bool = False) -> "Gallery":
    """Open a gallery with a retriever.

    Args:
        location: A folder, or an object-store URI.
        model: Name or folder of a trained retriever; the one that the gallery records if None.
        device: cpu or cuda; the GPU if there is one.
        create: Whether to create the gallery if it does not exist.

    Raises:
        InputError: The gallery does not exist, or was made with another retriever.
        MissingWeightsError: The retriever is not on this machine.
    """
    recorded = recorded_model(location, create)
    from likebut.gallery.gallery import Gallery
    from likebut.retriever.retriever import Retriever

    name = model or recorded or DEFAULT_MODEL
    gallery = Gallery.open(location, Retriever.from_pretrained(name, device), create)
    if create and recorded != _absolute_name(name):
        gallery.store.set_setting(_MODEL, _absolute_name(name))
    return gallery


def open_for_rebuilding(location: str, model: str | None, device: str | None, source: str) -> "Gallery":
    """Replace a gallery by an empty one, or resume an interrupted rebuild of it.

    Nothing is removed before the retriever is loaded. Call :func:`finish_rebuilding` once the gallery is filled.

    Args:
        location: A folder, or an object-store URI.
        model: Name or folder of a trained retriever; the one that the gallery records if None.
        device: cpu or cuda; the GPU if there is one.
        source: What the gallery is filled from. An interrupted rebuild from another source is restarted.

    Raises:
        InputError: There is no such retriever, or ``location`` is not a gallery.
        MissingWeightsError: The retriever is not on this machine.
    """
    from likebut.gallery.gallery import Gallery
    from likebut.gallery.identity import GalleryIdentity
    from likebut.gallery.lance_store import LanceStore
    from likebut.gallery.lance_tables import remove_gallery
    from likebut.retriever.retriever import Retriever

    name = model or recorded_model(location, may_be_missing=True) or DEFAULT_MODEL
    retriever = Retriever.from_pretrained(name, device)
    try:
        store = LanceStore(location)
        is_resumed = store.identity == GalleryIdentity.of(retriever) and store.setting(_REBUILDING) == source
    except InputError:
        is_resumed = False
    if not is_resumed:
        remove_gallery(location)
    gallery = Gallery.open(location, retriever)
    gallery.store.set_setting(_MODEL, _absolute_name(name))
    gallery.store.set_setting(_REBUILDING, source)
    return gallery


def rebuild_source(folder: Path, metadata: Path | None = None) -> str:
    """Return the ``source`` of :func:`open_for_rebuilding` for a folder: its path and a fingerprint of its metadata.

    Raises:
        InputError: The folder is missing or its metadata file is faulty. Call this before the gallery is emptied.
    """
    from likebut.data.images import images_below
    from likebut.files import fingerprint, normal_path
    from likebut.gallery.fields import infer_fields
    from likebut.gallery.metadata import metadata_for

    images_below(folder)
    table = metadata_for([folder], metadata)
    rows = {name: dict(row.values) for name, row in table.rows.items()} if table else {}
    infer_fields(rows.values(), {})
    return f"{normal_path(folder)} {fingerprint(rows)}"


def finish_rebuilding(gallery: "Gallery") -> None:
    """Record that the gallery is complete, so that the next rebuild starts from the beginning."""
    if gallery.store.setting(_REBUILDING):
        gallery.store.set_setting(_REBUILDING, None)


def recorded_model(location: str, may_be_missing: bool = False) -> str | None:
    """Return the name or folder of the retriever that a gallery records, if any.

    Raises:
        InputError: The gallery does not exist, and ``may_be_missing`` is false.
    """
    from likebut.gallery.lance_store import LanceStore

    try:
        recorded = LanceStore(location).setting(_MODEL)
    except InputError:
        if not may_be_missing:
            raise
        return None
    return None if recorded is None else str(recorded)


def _absolute_name(name: str) -> str:
    """Return the name of a retriever with local paths made absolute, so that it is valid in every working directory."""
    from likebut.models.model_folder import model_folder_in
    from likebut.retriever import dual_encoder

    if name.startswith(dual_encoder.PREFIX):
        return dual_encoder.absolute_name(name)
    return name if model_folder_in(Path(name), "retriever") is None else str(Path(name).absolute())
