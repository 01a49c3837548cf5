"""The demo's contents as JSON, files named relative to the folder, so that the folder can be moved."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from likebut.errors import InputError
from likebut.files import read_json, write_json
from likebut.reports.contents import DemoContents


def contents_to_json(contents: DemoContents, folder: Path) -> dict[str, Any]:
    """Return the contents as JSON values, every path relative to ``folder``."""
    value: dict[str, Any] = _plain(contents, folder)
    return value


def contents_from_json(value: object, folder: Path, where: str = "The demo's JSON") -> DemoContents:
    """Return the contents that :func:`contents_to_json` gave.

    Args:
        value: JSON values.
        folder: What the paths are relative to.
        where: The file, for the message.

    Raises:
        InputError: A field is missing or its value is wrong; the message names it.
    """
    try:
        contents = TypeAdapter(DemoContents).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        at = f' at "{key}"' if key else ""
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise InputError(f"{where} is not what a demo wrote{at}: {message}.", "Run `likebut demo` again.") from None
    below: DemoContents = _with_paths_below(contents, folder)
    return below


def write_contents(contents: DemoContents, path: Path) -> None:
    """Write the contents to ``path``, atomically; the files they name are written relative to its folder."""
    write_json(path, contents_to_json(contents, path.parent))


def read_contents(path: Path) -> DemoContents:
    """Return the contents that :func:`write_contents` wrote.

    Raises:
        InputError: There is no such file, or it is not what a demo wrote.
    """
    if not path.is_file():
        raise InputError(
            f"There is no {path.name} in {path.parent}.", "Give a folder in which `likebut demo` has finished."
        )
    return contents_from_json(read_json(path), path.parent, where=str(path))


def _plain(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return Path(os.path.relpath(value, folder)).as_posix()
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name), folder) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(inner, folder) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, folder) for inner in value]
    return value


def _with_paths_below(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return folder / value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: _with_paths_below(inner, folder) for name, inner in fields.items()})
    if isinstance(value, Mapping):
        return {key: _with_paths_below(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_paths_below(inner, folder) for inner in value]
    return value
