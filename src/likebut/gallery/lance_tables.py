"""Opening, creating and removing the Lance tables of a gallery, its locks, and translation of the engine's errors."""

import errno
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from inspect import isfunction
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import lancedb
from filelock import FileLock

from likebut.errors import InputError, LikebutError
from likebut.gallery.identity import GalleryIdentity
from likebut.gallery.lance_schema import FILES_SCHEMA, IDENTITY, SETTINGS_SCHEMA, images_schema

_Store = TypeVar("_Store")
_LONGEST_DETAIL = 200
RESIDENT_FOLDER = ".resident"
_CREATE = "Create one with `likebut index FOLDER`."


class DamagedGalleryError(InputError):
    """A gallery whose tables cannot be read."""

    code = "damaged-gallery"


class Tables(NamedTuple):
    """The tables of a gallery, in the order of their creation: if ``images`` exists, so do the others."""

    settings: Any
    files: Any
    images: Any


def is_uri(location: str | Path) -> bool:
    """Return whether ``location`` is an object store (``s3://…``) rather than a folder."""
    return "://" in str(location)


def connect(location: str | Path, create: bool) -> Any:
    """Return the Lance database at a location.

    Raises:
        InputError: The folder does not exist and ``create`` is false, or ``location`` is a file.
    """
    if not is_uri(location):
        folder = Path(location)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{location} is a file, not a gallery.", "Give a folder.", code="not-a-gallery")
        if not folder.is_dir() and not create:
            raise InputError(f"There is no gallery {location}.", _CREATE, code="missing-gallery")
        folder.mkdir(parents=True, exist_ok=True)
    # An interval of zero makes every read check for a newer version first, so that a deleted image is in no result of
    # any process.
    with translate_errors(str(location)):
        return lancedb.connect(str(location), read_consistency_interval=timedelta(seconds=0))


def open_tables(database: Any, location: str | Path) -> Tables | None:
    """Return the tables of a gallery; None if there are none.

    Raises:
        InputError: The tables are not those of a gallery, or the location cannot hold tables.
        DamagedGalleryError: The tables cannot be read.
    """
    with translate_errors(str(location)):
        try:
            images = database.open_table("images")
        except ValueError as error:
            if "was not found" in str(error):
                return None
            raise
        if IDENTITY not in (images.schema.metadata or {}):
            raise InputError(
                f"{location} is a Lance database, but not a gallery.", "Give another path.", code="not-a-gallery"
            )
        return Tables(database.open_table("settings"), database.open_table("files"), images)


def create_tables(database: Any, identity: GalleryIdentity) -> None:
    """Create the tables of a gallery, unless they exist."""
    identity_text = json.dumps(identity.to_json())
    schemas = Tables(SETTINGS_SCHEMA, FILES_SCHEMA, images_schema(identity.width, identity_text))
    for name, schema in schemas._asdict().items():
        database.create_table(name, schema=schema, exist_ok=True)


def require_tables(database: Any, location: str | Path) -> Tables:
    """Return the tables of a gallery.

    Raises:
        InputError: There are none, or they are not those of a gallery.
    """
    tables = open_tables(database, location)
    if tables is None:
        raise InputError(f"{location} is not a gallery.", _CREATE, code="not-a-gallery")
    return tables


def recorded_identity(tables: Tables, location: str | Path) -> GalleryIdentity:
    """Return the identity that a gallery records.

    Raises:
        InputError: The gallery has another storage format.
    """
    return GalleryIdentity.from_json(json.loads(tables.images.schema.metadata[IDENTITY]), str(location))


def remove_gallery(location: str | Path) -> None:
    """Remove a gallery, even a damaged one, if it exists. Image files are not touched.

    Raises:
        InputError: The tables are not those of a gallery.
    """
    if not is_uri(location) and not Path(location).exists():
        return
    database = connect(location, create=False)
    try:
        exists = open_tables(database, location) is not None
    except DamagedGalleryError:
        # The identity is stored in a table that cannot be read, so the names of the tables have to decide.
        exists = set(Tables._fields) <= set(database.list_tables(limit=1000).tables)
        if not exists:
            raise
    if exists:
        if not is_uri(location):
            shutil.rmtree(Path(location) / RESIDENT_FOLDER, ignore_errors=True)
        for name in reversed(Tables._fields):
            database.drop_table(name, ignore_missing=True)


class ProcessLock:
    """A reentrant lock between threads and processes.

    Args:
        path: The lock file; None to lock between the threads of this process alone.
    """

    def __init__(self, path: Path | None) -> None:
        self._threads = threading.RLock()
        self._processes = None if path is None else FileLock(path, thread_local=False)

    def __enter__(self) -> Self:
        """Wait for the lock."""
        self._threads.acquire()
        try:
            if self._processes is not None:
                self._processes.acquire()
        except BaseException:
            self._threads.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lock."""
        try:
            if self._processes is not None:
                self._processes.release()
        finally:
            self._threads.release()


@contextmanager
def translate_errors(location: str) -> Iterator[None]:
    """Translate errors of the engine into errors with a remedy.

    Raises:
        DamagedGalleryError: The engine cannot read the tables.
        InputError: The location cannot be used, or the gallery no longer exists.
        LikebutError: The disk is full, or another process changed the gallery first.
    """
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        translated = _translate(error, location)
        if translated is None:
            raise
        raise translated from error


def with_translated_errors(store: type[_Store]) -> type[_Store]:
    """Apply :func:`translate_errors` to the constructor and all public methods of a store with a ``location``."""
    for name, value in list(vars(store).items()):
        if isfunction(value) and (name == "__init__" or not name.startswith("_")):
            setattr(store, name, _translating(value))
    return store


def _translating(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def wrapper(self: Any, *arguments: Any, **named: Any) -> Any:
        # The attribute is not set yet while the constructor runs.
        location = getattr(self, "location", None) or (arguments[0] if arguments else named.get("location", ""))
        with translate_errors(str(location)):
            return method(self, *arguments, **named)

    return wrapper


def _translate(error: Exception, location: str) -> LikebutError | None:
    """Return the error to raise instead; None for errors that are not the engine's or need no translation."""
    text = str(error)
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in text:
        return LikebutError(
            f"The disk is full ({location}).", "Free some space; the same command resumes.", code="disk-full"
        )
    if isinstance(error, OSError) and error.filename is not None:
        return None
    if "No object store provider" in text:
        return InputError(
            f"{location} is not a location for a gallery.",
            "Give a folder, or the URI of an object store (s3://…).",
            code="unsupported-location",
        )
    if "Read-only file system" in text or "Permission denied" in text:
        return InputError(f"The gallery {location} is not writable.", "Check its permissions.", code="not-writable")
    if "preempted" in text or "conflict" in text.lower():
        return LikebutError(
            f"Another process changed the gallery {location} at the same time.",
            "Run the command again.",
            code="concurrent-change",
        )
    if "was not found" in text:
        return InputError(
            f"The gallery {location} no longer exists.", "Open it again, or create it again.", code="missing-gallery"
        )
    if isinstance(error, ValueError) or "lance" not in text.lower():
        return None
    return DamagedGalleryError(
        f"The gallery {location} cannot be read ({text.splitlines()[0][:_LONGEST_DETAIL]}).",
        f"Check the disk, or index the images again: `likebut index FOLDER --gallery {location} --rebuild`.",
    )
