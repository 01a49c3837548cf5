"""File reading and atomic writing: a kill at any moment leaves either the old file or the new one."""

import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

from likebut.errors import InputError

_BLOCK_BYTES = 1 << 20


def home_folder() -> Path:
    """Return the folder for downloaded parts and caches: ``$LIKEBUT_HOME``, else the platform's cache folder."""
    configured = os.environ.get("LIKEBUT_HOME")
    return Path(configured).expanduser() if configured else Path(platformdirs.user_cache_dir("likebut"))


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; rename it to ``path`` on success, remove it on failure.

    The caller creates a file or a folder under the temporary path. A folder replaces nothing: ``path`` must not exist.
    A file is flushed to disk before the rename, so that a power failure cannot leave the final name on partial data.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        yield temporary
        if temporary.is_file():
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def normal_path(path: Path | str) -> Path:
    """Return ``path`` absolute and without "..", so that a file has one name whatever the working directory."""
    return Path(os.path.abspath(path))


def files_below(folder: Path) -> tuple[list[Path], list[OSError]]:
    """Return the files below ``folder``, except hidden ones, and the errors of folders that could not be listed.

    Symbolic links to folders are not followed. The ``filename`` of an error is the folder.
    """
    unlisted: list[OSError] = []
    files: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=unlisted.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(parent, name) for name in names if not name.startswith(".")]
    # A folder that was removed in the meantime has no files.
    return files, [error for error in unlisted if not is_absence(error)]


def is_absence(error: OSError) -> bool:
    """Return whether an error means that the file does not exist, as opposed to being unreachable for the moment."""
    return isinstance(error, FileNotFoundError | NotADirectoryError)


def is_gone(path: Path) -> bool:
    """Return whether no file exists at ``path``; False for a path that is unreachable for the moment."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        return is_absence(error)


def require_place(path: Path) -> None:
    """Check that a file or folder can be created at ``path``; call it before the work whose result it will hold.

    Raises:
        InputError: A parent is not a folder, or is not writable.
    """
    whole = path.absolute()
    above = next((parent for parent in whole.parents if parent.exists()), whole)  # the root has no parent
    if not above.is_dir():
        raise InputError(f"{path} cannot be created: {above} is a file, not a folder.", "Give another path.")
    if not os.access(path if path.is_dir() else above, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be created: {above} is not writable.", "Give another path.", "not-writable")


def require_output_folder(path: Path, what: str) -> None:
    """Check that ``path`` is a folder, or that one can be created there.

    Args:
        path: The output folder.
        what: What it will hold, for the message: "the shards".

    Raises:
        InputError: ``path`` is a file, or cannot be created.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file, not a folder.", f"Give a folder for {what}.")
    require_place(path)


def require_output_file(path: Path) -> None:
    """Check that a file can be written at ``path``.

    Raises:
        InputError: ``path`` is a folder, or cannot be created.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a file.", "Give a file name.")
    require_place(path)


def remove_temporaries(folder: Path) -> None:
    """Remove temporary files of killed processes from ``folder``; only the folder's single writer may call this."""
    for leftover in folder.glob(".*.tmp"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` to ``path`` atomically, as indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write ``rows`` to ``path`` atomically, one JSON object per line."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_json(path: Path) -> Any:
    """Return the JSON value in ``path``.

    Raises:
        InputError: The file is missing or is not valid JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.", "Check the path.", "no-such-file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file.", "Give a JSON file in UTF-8.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON: {error.msg} in line {error.lineno}.", "Fix that line.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}).", "Simplify it.") from None


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield ``(line number, object)`` for each non-empty line of ``path``.

    Raises:
        InputError: The file is missing, or a line is not a JSON object.
    """
    try:
        handle = path.open(encoding="utf-8-sig")  # editors on Windows write a byte order mark
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.", "Check the path.", "no-such-file") from None
    with handle:
        try:
            for number, line in enumerate(handle, start=1):
                if line.strip():
                    yield number, _json_object(path, number, line)
        except UnicodeDecodeError:
            raise InputError(f"{path} is not a text file.", "Give a JSONL file in UTF-8.") from None


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} line {number} is not valid JSON: {error.msg}.", "Fix that line.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} line {number} cannot be read as JSON ({error}).", "Simplify it.") from None
    if not isinstance(value, dict):
        raise InputError(
            f"{path} line {number} holds a {type(value).__name__}, not an object.", "Write one {…} per line."
        )
    return value


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(value: Any) -> str:
    """Return 16 hexadecimal digits that differ when a JSON-like ``value`` differs."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
