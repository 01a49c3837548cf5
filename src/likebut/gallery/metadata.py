"""User metadata: a CSV or JSONL file with one line per image, and matching of its lines to image files."""

import codecs
import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likebut.errors import InputError
from likebut.files import files_below, normal_path, read_jsonl

KEY_NAMES = ("image", "path", "file", "filename", "name")
DEFAULT_NAMES = ("metadata.csv", "metadata.jsonl", "annotations.jsonl", "gallery.jsonl")

_DELIMITERS = (",", ";", "\t")
# Spreadsheets write this first line for programs that do not detect the delimiter.
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)
# 12,50 and 1.234,50: decimal comma, with thousands separated by dots or spaces.
_DECIMAL_COMMA = re.compile(r"[+-]?(0|[1-9]\d{0,2}([.\u00a0\u202f ]\d{3})+|[1-9]\d*)(,\d+)?")
_MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class MetadataRow:
    """The metadata of one image.

    Attributes:
        values: Field → untyped value; None clears the field's value.
        where: File and line.
    """

    values: Mapping[str, Any]
    where: str


@dataclass(frozen=True, slots=True)
class SkippedLine:
    """A line of a metadata file that was not applied, and why.

    Attributes:
        where: File and line.
    """

    where: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """Return the line as a JSON object."""
        return {"line": self.where, "reason": self.reason}


@dataclass(frozen=True)
class MetadataFile:
    """A metadata file for the images of a folder.

    Attributes:
        folder: The folder that the file's names are relative to.
        rows: Name of an image in Unicode NFC → its row.
    """

    folder: Path
    rows: Mapping[str, MetadataRow]

    def match(self, images: Sequence[Path]) -> tuple[dict[Path, MetadataRow], list[SkippedLine]]:
        """Match rows to image files.

        An image's row is the one with its path relative to the folder, with or without a leading ``images/``. A name
        without a folder also matches a file in a subfolder if no other file of the folder has that name.

        Args:
            images: Image files, in the folder or elsewhere.

        Returns:
            The row of each image that has one, and the rows whose name is ambiguous.
        """
        found: dict[Path, MetadataRow] = {}
        used: set[str] = set()
        for image in images:
            names = self._relative_names(image)
            name = next((name for name in names if name in self.rows), None)
            if name is not None:
                found[image] = self.rows[name]
                used.add(name)

        free = self.rows.keys() - used
        given = {normal_path(image): image for image in images if image not in found and _nfc(image.name) in free}
        by_name: dict[str, set[Path]] = defaultdict(set)
        # Files that are not among ``images`` also make a name ambiguous, or are the ones that the row is about.
        for path in [*given, *(files_below(self.folder)[0] if given else [])]:
            by_name[_nfc(path.name)].add(normal_path(path))
        skipped = []
        for name in dict.fromkeys(_nfc(path.name) for path in given):
            paths = by_name[name]
            if len(paths) == 1:
                found[given[next(iter(paths))]] = self.rows[name]
            elif not any(name in self._relative_names(path) for path in paths):
                shown = ", ".join(sorted(map(str, paths))[:_MOST_NAMES])
                reason = f'{len(paths)} files are named "{name}": {shown}. Give the path below the folder.'
                skipped.append(SkippedLine(self.rows[name].where, reason))
        return found, skipped

    def _relative_names(self, image: Path) -> tuple[str, ...]:
        """Return the names that identify an image exactly; none if it is outside the folder."""
        path = normal_path(image)
        if not path.is_relative_to(self.folder):
            return ()
        relative = _nfc(path.relative_to(self.folder).as_posix())
        return relative, relative.removeprefix("images/")


def find_metadata(folder: Path) -> Path | None:
    """Return the metadata file in ``folder``, or next to it with the folder's name; None if there is none."""
    places = [folder / name for name in DEFAULT_NAMES]
    places += [folder.with_name(f"{folder.name}{suffix}") for suffix in (".csv", ".jsonl")]
    return next((place for place in places if place.is_file()), None)


def metadata_for(paths: Sequence[Path], metadata: Path | str | None) -> MetadataFile | None:
    """Return the metadata file for images that are being added, if there is one.

    Args:
        paths: What is added. Names in the file are relative to the first folder among them.
        metadata: The file; None to look for one in or next to the first folder.

    Raises:
        InputError: The file is missing, or a line is invalid.
    """
    folder = next((path for path in paths if path.is_dir()), None)
    if metadata is not None:
        return read_metadata(Path(metadata), folder or Path(metadata).parent)
    found = find_metadata(normal_path(folder)) if folder is not None else None
    return read_metadata(found, folder) if found is not None and folder is not None else None


def read_metadata(path: Path, folder: Path) -> MetadataFile:
    """Read a CSV or JSONL file.

    The column or key "image" (or path, file, filename, name) identifies the image of a line. CSV may be delimited by
    commas, semicolons or tabs; with the latter two, numbers may have a decimal comma.

    Args:
        path: A file that ends in .csv, .tsv or .jsonl.
        folder: The folder that the names in the file are relative to.

    Raises:
        InputError: The file is missing or a line is invalid; the message names the line.
    """
    match path.suffix.lower():
        case ".csv" | ".tsv":
            lines = iter(_csv_rows(path))
        case ".jsonl":
            lines = read_jsonl(path)
        case _:
            raise InputError(
                f"{path} is not a metadata file.",
                "Give a file that ends in .csv, .tsv or .jsonl.",
                code="unknown-metadata-format",
            )
    rows: dict[str, MetadataRow] = {}
    key: str | None = None
    for number, row in lines:
        key = key if key in row else next((name for name in KEY_NAMES if name in row), None)
        if key is None or not isinstance(row[key], str):
            raise InputError(
                f"{path} line {number} does not name its image; it has {', '.join(row) or 'no values'}.",
                'Add "image", the path of the image file relative to the folder.',
                code="metadata-without-image",
            )
        values = {name: value for name, value in row.items() if name != key}
        rows[_nfc(row[key].removeprefix("./"))] = MetadataRow(values, f"{path} line {number}")
    return MetadataFile(normal_path(folder), rows)


def _nfc(name: str) -> str:
    """Return a file name in Unicode NFC: macOS lists "é" as two code points, spreadsheets write one."""
    return unicodedata.normalize("NFC", name)


def _csv_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return line number and cells of each row; an empty cell is None."""
    try:
        with path.open("rb") as file:
            # Spreadsheets export tab-separated "Unicode text" as UTF-16.
            is_utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        with path.open(encoding="utf-16" if is_utf16 else "utf-8-sig", newline="") as file:
            first = file.readline()
            separator = _SEPARATOR_LINE.fullmatch(first)
            if separator is None:
                file.seek(0)
            delimiter = separator[1] if separator else _detect_delimiter(first)
            reader = csv.DictReader(file, strict=True, delimiter=delimiter)
            rows = [(reader.line_num + (separator is not None), row) for row in reader]
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.", "Check the path.", code="missing-file") from None
    except (UnicodeError, csv.Error) as error:
        raise InputError(
            f"{path} is not a CSV file ({error}).", "Save it as CSV with UTF-8 encoding.", code="invalid-csv"
        ) from None
    for number, row in rows:
        if None in row:
            raise InputError(
                f"{path} line {number} has {len(row) - 1 + len(row[None])} cells, the first line {len(row) - 1} names.",
                f"Quote cells that contain {'a tab' if delimiter == _DELIMITERS[2] else delimiter!r}.",
                code="csv-row-too-long",
            )
    if delimiter != ",":
        for name in rows[0][1] if rows else ():
            _convert_decimal_commas([row for _, row in rows], name)
    return [(number, {name: value or None for name, value in row.items()}) for number, row in rows]


def _detect_delimiter(header: str) -> str:
    """Return the delimiter that gives a column for the image; of several the one that gives the most columns."""

    def rank(delimiter: str) -> tuple[bool, int]:
        names = next(csv.reader([header], delimiter=delimiter), [])
        return any(name in KEY_NAMES for name in names), len(names)

    return max(_DELIMITERS, key=rank)


def _convert_decimal_commas(rows: Sequence[dict[str, Any]], name: str) -> None:
    """Replace decimal commas by points in a column of numbers, in place."""
    cells = [row[name] for row in rows if row[name]]
    if any("," in cell for cell in cells) and all(_DECIMAL_COMMA.fullmatch(cell) for cell in cells):
        for row in rows:
            if row[name]:
                whole, _, fraction = row[name].partition(",")
                row[name] = re.sub(r"[.\s]", "", whole) + (f".{fraction}" if fraction else "")
