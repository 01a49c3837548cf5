"""What the Lance engine says, in sentences that a person can act on."""

import errno
import json
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
_LONGEST = 200


class DamagedGalleryError(InputError):
    """A gallery whose tables cannot be read."""


@contextmanager
def clear_errors(location: str) -> Iterator[None]:
    """Turn what the engine raises while it uses the gallery at ``location`` into errors with a remedy.

    Raises:
        DamagedGalleryError: The engine cannot read what is there.
        InputError: The place cannot be used, or the gallery is gone.
        LikebutError: The disk is full, or another process was faster.
    """
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        clear = _clear(error, location)
        if clear is None:
            raise
        raise clear from error


def with_clear_errors(store: type[_Store]) -> type[_Store]:
    """Decorate a store, which has a ``location``: none of its public methods raises what only the engine explains."""
    for name, value in list(vars(store).items()):
        if isfunction(value) and (name == "__init__" or not name.startswith("_")):
            setattr(store, name, _with_clear_errors(value))
    return store


def _with_clear_errors(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def called(self: Any, *arguments: Any, **named: Any) -> Any:
        # A store that is being made has not put down its location yet.
        location = getattr(self, "location", None) or (arguments[0] if arguments else named.get("location", ""))
        with clear_errors(str(location)):
            return method(self, *arguments, **named)

    return called


def _clear(error: Exception, location: str) -> LikebutError | None:
    """Return the error to raise instead; None for what is no failure of the engine's, or is clear as it is."""
    text = str(error)
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in text:
        return LikebutError(f"The disk is full ({location}).", "Make room; the same command goes on from here.")
    if isinstance(error, OSError) and error.filename is not None:
        return None
    if "No object store provider" in text:
        return InputError(f"No gallery can be at {location}.", "Give a folder, or an object store's URI (s3://…).")
    if "Read-only file system" in text or "Permission denied" in text:
        return InputError(f"The gallery {location} may not be written to.", "Check its permissions.")
    if "preempted" in text or "conflict" in text.lower():
        return LikebutError(f"Another process changed the gallery {location} as well.", "Run the command again.")
    if "was not found" in text:
        return InputError(f"The gallery {location} is no longer there.", "Open it again, or make it anew.")
    if isinstance(error, ValueError) or "lance" not in text.lower():
        return None
    return DamagedGalleryError(
        f"The gallery {location} cannot be used ({text.splitlines()[0][:_LONGEST]}).",
        f"Check the disk; or index the pictures again: `likebut index FOLDER --gallery {location} --rebuild`.",
    )


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


class ProcessLock:
    """A lock that one thread of one process holds at a time, as often as it likes.

    Args:
        path: The lock's file; None where there can be none, and the threads of this process alone take turns.
    """

    def __init__(self, path: Path | None) -> None:
        self._threads = threading.RLock()
        self._processes = None if path is None else FileLock(path, thread_local=False)

    def __enter__(self) -> Self:
        """Wait for one's turn."""
        self._threads.acquire()
        try:
            if self._processes is not None:
                self._processes.acquire()
        except BaseException:
            self._threads.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let others take theirs."""
        try:
            if self._processes is not None:
                self._processes.release()
        finally:
            self._threads.release()
