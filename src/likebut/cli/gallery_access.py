"""What the verbs that use a gallery share: where it is, and the retriever that it was made with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likebut.errors import InputError

if TYPE_CHECKING:
    from likebut.gallery.gallery import Gallery

DEFAULT_MODEL = "small"
_MODEL = "model"

GalleryPath = Annotated[
    str,
    typer.Option("--gallery", envvar="LIKEBUT_GALLERY", help="The gallery's folder, or an object-store URI."),
]
DEFAULT_GALLERY = "likebut-gallery"


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
    lasting_name = str(Path(name).absolute()) if Path(name).is_dir() else name
    if create and recorded != lasting_name:
        gallery.store.keep_setting(_MODEL, lasting_name)
    return gallery


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
