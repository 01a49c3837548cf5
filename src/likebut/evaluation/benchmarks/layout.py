"""Shared by the loaders of official layouts: reading annotation files, finding image files, checking counts."""

import difflib
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from likebut.data.images import SUFFIXES
from likebut.data.triplets import ImageRef
from likebut.errors import InputError
from likebut.files import read_json

_KINDS = {str: "a string", int: "a number", list: "a list", dict: "an object"}


def require_choice(value: str, known: Sequence[str], what: str) -> str:
    """Return ``value`` if it is one of ``known``.

    Args:
        value: The choice.
        known: The valid choices.
        what: What is chosen, for the message: "query mode".

    Raises:
        InputError: It is not; the message names the near miss.
    """
    if value in known:
        return value
    near = difflib.get_close_matches(value, known, n=1)
    guess = f'Did you mean "{near[0]}"? ' if near else ""
    raise InputError(f'There is no {what} "{value}".', f"{guess}Known: {', '.join(known)}.", code="unknown-choice")


def require_root(root: Path) -> None:
    """Check that the benchmark's folder exists.

    Raises:
        InputError: It does not.
    """
    if not root.is_dir():
        raise InputError(
            f"There is no folder {root}.", "Give the benchmark's folder with --root.", code="missing-folder"
        )


def first_existing(candidates: Sequence[Path]) -> Path | None:
    """Return the first path that exists, or None."""
    return next((path for path in candidates if path.exists()), None)


def read_entries(path: Path, fields: Mapping[str, type]) -> list[dict[str, Any]]:
    """Return the annotation entries in a JSON file.

    Args:
        path: The file, a list of objects.
        fields: The fields that every entry has, with the type of each.

    Raises:
        InputError: The file is missing or invalid; the message names the entry and the field.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise _invalid(f"{path} contains a {type(entries).__name__}, not a list.")
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise _invalid(f"{path}: entry {position} is not an object.")
        for name, kind in fields.items():
            if not isinstance(entry.get(name), kind):
                raise _invalid(f'{path}: entry {position} has no "{name}", or it is not {_KINDS[kind]}.')
    return entries


def has_labels(entries: Sequence[Mapping[str, Any]], field: str, path: Path) -> bool:
    """Return whether the entries have labels.

    Raises:
        InputError: Some do and some do not.
    """
    labelled = sum(field in entry for entry in entries)
    if labelled not in (0, len(entries)):
        raise _invalid(f'{path}: {labelled} of {len(entries)} entries have a "{field}"; all or none should.')
    return labelled > 0


def require_names(names: Iterable[str], known: Set[str], path: Path, where: str) -> None:
    """Check that every name is known.

    Raises:
        InputError: One is not; the message names it, the file and the entry.
    """
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        raise InputError(
            f'{path}: {where} names "{unknown}", which the split\'s gallery does not have.',
            "Use annotations and image splits of one release.",
            code="unknown-image-name",
        )


def locate_images(base: Path, paths: Mapping[str, str]) -> dict[str, ImageRef]:
    """Find the image files, whatever their suffix.

    Args:
        base: The folder that ``paths`` are relative to; it need not exist.
        paths: Image name → the official path of its file.

    Returns:
        For each name, the file at the official path, or at the same path with another image suffix. An image without a
        file keeps the official path.
    """
    listings: dict[Path, dict[str, str]] = {}
    images: dict[str, ImageRef] = {}
    for name, path in paths.items():
        expected = base / path
        folder = expected.parent
        if folder not in listings:
            listings[folder] = _image_files(folder)
        file_name = listings[folder].get(expected.name) or listings[folder].get(expected.stem) or expected.name
        images[name] = ImageRef(name, folder / file_name)
    return images


def _image_files(folder: Path) -> dict[str, str]:
    """Return the names of a folder's image files, keyed by full name and by stem."""
    if not folder.is_dir():
        return {}
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return {Path(name).stem: name for name in names} | {name: name for name in names}


def count_notes(title: str, found: Mapping[str, int], official: Mapping[str, int]) -> tuple[str, ...]:
    """Return a note for each count that differs from the official one: subsets are allowed, but must be visible."""
    return tuple(
        f"{title} has {found[what]} {what} here; the official one has {number}."
        for what, number in official.items()
        if found[what] != number
    )


def _invalid(problem: str) -> InputError:
    return InputError(problem, "Use the official annotation file.", code="invalid-annotations")
