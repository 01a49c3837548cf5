"""Content hashes of image files, remembered so that an unchanged file is hashed once."""

import time
from pathlib import Path

from likebut.errors import InputError
from likebut.files import read_json, sha256_of, write_json
from likebut.images import MAX_BYTES, SetAside

# A file changed again within the clock's tick keeps its time stamp, so young files are not remembered.
_SETTLED_SECONDS = 2.0


class ContentHashes:
    """Maps a file to the SHA-256 of its content.

    A remembered hash is used only while size, modification time and change time are the same.

    Args:
        path: Where the hashes are remembered; a missing or damaged file is an empty memory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = False
        self._known: dict[str, list[int | str]] = _read(path)

    def of(self, path: Path) -> str | SetAside:
        """Return the hash of the file at ``path``, or why there is none."""
        try:
            status = path.stat()
            if status.st_size > MAX_BYTES:
                return SetAside(path.name, f"The file has {status.st_size} bytes, more than {MAX_BYTES}.")
            stamp: list[int | str] = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
            key = str(path.absolute())
            known = self._known.get(key)
            if known is not None and known[:3] == stamp:
                return str(known[3])
            digest = sha256_of(path)
        except FileNotFoundError:
            return SetAside(path.name, f"There is no file {path}.")
        except OSError as error:
            return SetAside(path.name, f"The file cannot be read ({error.strerror}).")
        if time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED_SECONDS:
            self._known[key] = [*stamp, digest]
            self._changed = True
        return digest

    def save(self) -> None:
        """Write what was learnt since the last save."""
        if self._changed:
            # Another process may have learnt other files meanwhile.
            self._known = _read(self._path) | self._known
            write_json(self._path, self._known)
            self._changed = False


def _read(path: Path) -> dict[str, list[int | str]]:
    try:
        value = read_json(path) if path.is_file() else {}
    except InputError:
        return {}
    return value if isinstance(value, dict) else {}
