"""Content hashes of image files, stored so that an unchanged file is hashed once."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from likebut.data.images import MAX_BYTES, SkippedImage
from likebut.errors import InputError
from likebut.files import read_json, sha256_of, write_json
from likebut.progress import track

# A file that changes twice within the clock's resolution keeps its time stamp, so recent files are not stored.
_SETTLED_SECONDS = 2.0
_FILES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a file could not be read for the moment, for example a network disk; unlike damage it may be temporary."""

    reason: str


class ContentHashes:
    """Maps a file to the SHA-256 of its content.

    A stored hash is used only while size, modification time and change time are the same.

    Args:
        path: File of stored hashes; a missing or damaged file is treated as empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = False
        self._known: dict[str, list[int | str]] = _read(path)

    def of_all(self, paths: Sequence[Path]) -> list[str | SkippedImage | Unread]:
        """Return :meth:`of` for each path, reading several files in parallel."""
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            if len(paths) <= _FILES_AT_ONCE:
                return list(pool.map(self.of, paths))
            found: list[str | SkippedImage | Unread] = []
            with track("checking image files", len(paths), "files") as progress:
                for start in range(0, len(paths), _FILES_AT_ONCE):
                    part = paths[start : start + _FILES_AT_ONCE]
                    found += pool.map(self.of, part)
                    progress.advance(len(part))
            return found

    def of(self, path: Path) -> str | SkippedImage | Unread:
        """Return the hash of the file at ``path``, or the reason why it is skipped or unread."""
        try:
            status = path.stat()
            if status.st_size > MAX_BYTES:
                return SkippedImage(path.name, f"The file has {status.st_size} bytes, more than {MAX_BYTES}.")
            stamp: list[int | str] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
            key = str(path.absolute())
            known = self._known.get(key)
            if known is not None and known[:3] == stamp:
                return str(known[3])
            digest = sha256_of(path)
        except FileNotFoundError:
            return SkippedImage(path.name, f"There is no file {path}.")
        except OSError as error:
            return Unread(f"The file {path} cannot be read ({error.strerror}).")
        if time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED_SECONDS:
            self._known[key] = [*stamp, digest]
            self._changed = True
        return digest

    def save(self) -> None:
        """Store the hashes computed since the last save."""
        if not self._changed:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # One writer at a time: another process may have stored other hashes, and temporary files of killed processes
        # can be removed.
        with FileLock(self._path.with_suffix(".lock")):
            for leftover in self._path.parent.glob(f".{self._path.name}.*.tmp"):
                leftover.unlink(missing_ok=True)
            self._known = _read(self._path) | self._known
            write_json(self._path, self._known)
        self._changed = False


def _read(path: Path) -> dict[str, list[int | str]]:
    try:
        value = read_json(path) if path.is_file() else {}
    except InputError:
        return {}
    return value if isinstance(value, dict) else {}
