"""Reading and writing files so that a kill at any moment leaves either the old file or the new one."""

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
    """Yield a temporary name beside ``path``; rename it to ``path`` on success, remove it on failure.

    Works for a file and for a folder: the caller creates whichever it wants under the temporary name. A folder
    replaces nothing: ``path`` must then not exist. The content is flushed to disk before the rename, so that a
    power cut cannot leave a complete name on incomplete bytes.
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
    """Return ``path`` absolute and without "..", so that one file has one name wherever it is spoken of from."""
    return Path(os.path.abspath(path))


def files_below(folder: Path) -> tuple[list[Path], list[OSError]]:
    """Return what is no folder below ``folder``, hidden files left out, and why folders below it could not be listed.

    Symbolic links to folders are not followed. Every error has the folder's name as its ``filename``.
    """
    unlisted: list[OSError] = []
    files: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=unlisted.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(parent, name) for name in names if not name.startswith(".")]
    # A folder that went away meanwhile has no files.
    return files, [error for error in unlisted if not is_absence(error)]


def is_absence(error: OSError) -> bool:
    """Return whether an error says that there is no such file, and not that it cannot be reached just now."""
    return isinstance(error, FileNotFoundError | NotADirectoryError)


def is_gone(path: Path) -> bool:
    """Return whether there is surely no file at ``path``; one that cannot be reached just now may be there."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        return is_absence(error)


def require_place(path: Path) -> None:
    """Check that a file or a folder can be made at ``path``: to be asked before the work whose result it will hold.

    Raises:
        InputError: Something that is no folder is in the way, or the folder may not be written to.
    """
    whole = path.absolute()
    above = next((parent for parent in whole.parents if parent.exists()), whole)  # nothing is above the root
    if not above.is_dir():
        raise InputError(f"{path} cannot be made: {above} is a file, not a folder.", "Give another path.")
    if not os.access(path if path.is_dir() else above, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be made: {above} may not be written to.", "Give another path.")


def require_output_folder(path: Path, what: str) -> None:
    """Check that a folder can be made, or written to, at ``path``.

    Args:
        path: Where.
        what: What it is for, for the message: "the shards".

    Raises:
        InputError: It is a file, or cannot be made.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file, not a folder.", f"Give a folder for {what}.")
    require_place(path)


def require_output_file(path: Path) -> None:
    """Check that a file can be written at ``path``.

    Raises:
        InputError: It is a folder, or cannot be made.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a file.", "Give a file's name.")
    require_place(path)


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed process left under temporary names in ``folder``. Only its single writer may call this."""
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
    """Write ``rows`` to ``path`` atomically, one JSON object a line."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_json(path: Path) -> Any:
    """Return the JSON value in ``path``.

    Raises:
        InputError: The file is missing or is not JSON; the message names the file and the line.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.", "Check the path.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file.", "Give a JSON file in UTF-8.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON: {error.msg} in line {error.lineno}.", "Mend that line.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}).", "Make it simpler.") from None


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield ``(line number, object)`` for each non-empty line of ``path``.

    Raises:
        InputError: The file is missing, or a line is not a JSON object; the message names the line.
    """
    try:
        handle = path.open(encoding="utf-8-sig")  # editors on Windows begin a file with a mark
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.", "Check the path.") from None
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
        raise InputError(f"{path} line {number} is not valid JSON: {error.msg}.", "Mend that line.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} line {number} cannot be read as JSON ({error}).", "Make it simpler.") from None
    if not isinstance(value, dict):
        raise InputError(
            f"{path} line {number} holds a {type(value).__name__}, not an object.", "Write one {…} a line."
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
