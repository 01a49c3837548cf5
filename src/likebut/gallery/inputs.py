"""What callers of a gallery may write in several ways: files and folders, a metadata file, one thing or several."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from likebut.errors import InputError
from likebut.files import normal_path
from likebut.gallery.metadata import MetadataFile, find_metadata, read_metadata
from likebut.images import SetAside, images_below


def picture_files(paths: Sequence[Path]) -> tuple[list[Path], list[SetAside]]:
    """Return the files, and the picture files below the folders, that ``paths`` name; and folders not to be listed.

    Raises:
        InputError: There is no such file, or a folder holds no picture.
    """
    files: list[Path] = []
    unlisted: list[SetAside] = []
    for path in paths:
        if path.is_dir():
            images, unlisted_below = images_below(path)
            files += [image.path for image in images]
            unlisted += unlisted_below
        elif path.is_file():
            files.append(path)
        else:
            raise InputError(f"There is no file or folder {path}.", "Check the path.")
    return files, unlisted


def metadata_for(paths: Sequence[Path], named: Path | str | None) -> MetadataFile | None:
    """Return the metadata file for what is added.

    Args:
        paths: What is added; a folder among them is what the file's names are relative to.
        named: The file, if it was named; else one that lies in or beside the first folder is taken, if there is one.

    Raises:
        InputError: The file is missing or a line is wrong.
    """
    folder = next((path for path in paths if path.is_dir()), None)
    if named is not None:
        return read_metadata(Path(named), folder or Path(named).parent)
    if folder is None:
        return None
    found = find_metadata(normal_path(folder))
    return read_metadata(found, folder) if found else None


def listed(value: Any) -> list[Any]:
    """Return one thing, several, or none as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
