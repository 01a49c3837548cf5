"""Where a Lance gallery is: opening, making and removing its three tables."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import lancedb

from likebut.errors import InputError
from likebut.gallery.identity import GalleryIdentity
from likebut.gallery.lance_errors import DamagedGalleryError, clear_errors
from likebut.gallery.lance_rows import FILES_SCHEMA, IDENTITY, SETTINGS_SCHEMA, images_schema

_MAKE_ONE = "Make one with `likebut index FOLDER`."


class Tables(NamedTuple):
    """The tables of a gallery. Images come last when they are made: where they are, the rest is there too."""

    settings: Any
    files: Any
    images: Any


def is_uri(location: str | Path) -> bool:
    """Return whether ``location`` names an object store (``s3://…``) and not a folder."""
    return "://" in str(location)


def connect(location: str | Path, create: bool) -> Any:
    """Return the Lance database at a location.

    Raises:
        InputError: There is no such folder, and ``create`` is false; or there is a file.
    """
    if not is_uri(location):
        folder = Path(location)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{location} is a file, not a gallery.", "Give a folder.")
        if not folder.is_dir() and not create:
            raise InputError(f"There is no gallery {location}.", _MAKE_ONE)
        folder.mkdir(parents=True, exist_ok=True)
    # An interval of zero makes every read look for a newer version first: that is what lets a deleted image vanish
    # from the results of every process at once.
    with clear_errors(str(location)):
        return lancedb.connect(str(location), read_consistency_interval=timedelta(seconds=0))


def open_tables(database: Any, location: str | Path) -> Tables | None:
    """Return a gallery's tables; None if there are none.

    Raises:
        InputError: The tables there are not a gallery's, or no tables can be there.
        DamagedGalleryError: They cannot be read.
    """
    with clear_errors(str(location)):
        try:
            images = database.open_table("images")
        except ValueError as error:
            if "was not found" in str(error):
                return None
            raise
        return _tables_with(images, database, location)


def _tables_with(images: Any, database: Any, location: str | Path) -> Tables:
    if IDENTITY not in (images.schema.metadata or {}):
        raise InputError(f"{location} is a Lance database, but not a gallery.", "Give another path.")
    return Tables(database.open_table("settings"), database.open_table("files"), images)


def create_tables(database: Any, identity: GalleryIdentity) -> None:
    """Make a gallery's tables, unless they are there."""
    identity_text = json.dumps(identity.to_json())
    schemas = Tables(SETTINGS_SCHEMA, FILES_SCHEMA, images_schema(identity.width, identity_text))
    for name, schema in schemas._asdict().items():
        database.create_table(name, schema=schema, exist_ok=True)


def require_tables(database: Any, location: str | Path) -> Tables:
    """Return a gallery's tables.

    Raises:
        InputError: There are none, or they are not a gallery's.
    """
    tables = open_tables(database, location)
    if tables is None:
        raise InputError(f"{location} is not a gallery.", _MAKE_ONE)
    return tables


def recorded_identity(tables: Tables, location: str | Path) -> GalleryIdentity:
    """Return what the gallery's embeddings were made with.

    Raises:
        InputError: It was written by another version of the format.
    """
    return GalleryIdentity.from_json(json.loads(tables.images.schema.metadata[IDENTITY]), str(location))


def remove_gallery(location: str | Path) -> None:
    """Remove a gallery, a damaged one too; where there is none, nothing happens. Pictures are not touched.

    Raises:
        InputError: The tables there are not a gallery's.
    """
    if not is_uri(location) and not Path(location).exists():
        return
    database = connect(location, create=False)
    try:
        is_there = open_tables(database, location) is not None
    except DamagedGalleryError:
        # Whose tables these are is written in one that cannot be read; so their names have to tell.
        is_there = set(Tables._fields) <= set(database.table_names(limit=1000))
        if not is_there:
            raise
    if is_there:
        for name in reversed(Tables._fields):
            database.drop_table(name, ignore_missing=True)
