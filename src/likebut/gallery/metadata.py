"""Users' metadata: a CSV or JSONL file with one line an image."""

import csv
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likebut.errors import InputError
from likebut.files import normal_path, read_jsonl

KEY_NAMES = ("image", "path", "file", "filename", "name")
DEFAULT_NAMES = ("metadata.csv", "metadata.jsonl", "annotations.jsonl", "gallery.jsonl")


@dataclass(frozen=True, slots=True)
class MetadataRow:
    """The metadata of one image: field → untyped value, and where it stands."""

    values: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class MetadataFile:
    """What a metadata file says of the images of a folder.

    Attributes:
        folder: Which the file's names are relative to.
        rows: Image's name, composed (NFC) → its row.
    """

    folder: Path
    rows: Mapping[str, MetadataRow]

    def of(self, image: Path) -> MetadataRow | None:
        """Return the row of an image: by its path below the folder, with or without ``images/``, or by its name."""
        names = [image.name]
        path = normal_path(image)
        if path.is_relative_to(self.folder):
            relative = path.relative_to(self.folder).as_posix()
            names = [relative, relative.removeprefix("images/"), image.name]
        return next((self.rows[name] for name in map(_composed, names) if name in self.rows), None)


def find_metadata(folder: Path) -> Path | None:
    """Return the metadata file that lies in ``folder``, or beside it under the folder's name; None if there is none."""
    places = [folder / name for name in DEFAULT_NAMES]
    places += [folder.with_name(f"{folder.name}{suffix}") for suffix in (".csv", ".jsonl")]
    return next((place for place in places if place.is_file()), None)


def read_metadata(path: Path, folder: Path) -> MetadataFile:
    """Return the metadata in a CSV or JSONL file.

    Args:
        path: Its name ends in .csv or .jsonl. A column or key called "image" (or path, file, filename, name) says
            which image a line is about.
        folder: Which those names are relative to.

    Raises:
        InputError: The file is missing or a line is wrong; the message names the line.
    """
    if path.suffix.lower() == ".csv":
        lines = _csv_rows(path)
    elif path.suffix.lower() == ".jsonl":
        lines = read_jsonl(path)
    else:
        raise InputError(f"{path} is no metadata file.", "Give a file that ends in .csv or .jsonl.")
    rows: dict[str, MetadataRow] = {}
    key: str | None = None
    for number, row in lines:
        key = key if key in row else next((name for name in KEY_NAMES if name in row), None)
        if key is None or not isinstance(row[key], str):
            raise InputError(
                f"{path} line {number} does not say which image it is about.", 'Add "image", the name of a file.'
            )
        values = {name: value for name, value in row.items() if name != key}
        rows[_composed(row[key].removeprefix("./"))] = MetadataRow(values, f"{path} line {number}")
    return MetadataFile(normal_path(folder), rows)


def _composed(name: str) -> str:
    """Return a file's name with its accents in one form: macOS lists "é" in two characters, spreadsheets have one."""
    return unicodedata.normalize("NFC", name)


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, strict=True)
            for row in reader:
                if None in row:
                    raise InputError(
                        f"{path} line {reader.line_num} has more cells than the first line has names.",
                        "Put cells that hold a comma in quotes.",
                    )
                yield reader.line_num, {name: value or None for name, value in row.items()}
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.", "Check the path.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file ({error}).", "Write it as UTF-8, with commas.") from None
