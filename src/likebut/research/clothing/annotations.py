"""The annotations that the package holds: what each photograph shows, and the texts between pairs of them.

Where they come from, and how far they can be trusted, is said in ``annotation_files/README.md``.
"""

import gzip
import json
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from likebut.data.images import SUFFIXES
from likebut.data.triplets import ImageRef, Triplet, triplet_from_row
from likebut.errors import InputError

SPLITS = ("train", "val")


class Photograph(BaseModel):
    """One photograph's annotation.

    Attributes:
        image: Its file's name in the public collection.
        split: "train" or "val".
        photographer: A number; no photographer is in both splits.
        kids: Whether the garment is a child's.
        type: What it is: "t-shirt", "sneakers".
        colours: Dominant first, three at most.
        pattern: "plain", "striped", "graphic print", …
        cut: Sleeves, neck, closure, length, … as phrases between commas.
        detail: What sets it apart from others like it; often empty.
        caption: One sentence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str
    split: str
    photographer: str
    kids: bool
    type: str
    colours: tuple[str, ...]
    pattern: str
    cut: str
    detail: str
    caption: str


@cache
def load_photographs() -> dict[str, Photograph]:
    """Return every annotated photograph by its image's name, in the file's order."""
    photographs = (Photograph.model_validate(row) for row in _rows("annotations"))
    return {photograph.image: photograph for photograph in photographs}


@cache
def load_triplets() -> tuple[Triplet, ...]:
    """Return the written triplets of both splits, both directions of each pair."""
    return tuple(
        triplet_from_row(row, f"triplets.jsonl.gz line {number}") for number, row in enumerate(_rows("triplets"), 1)
    )


@cache
def load_gallery() -> tuple[tuple[str, str], ...]:
    """Return each gallery line as ``(image, split)``."""
    return tuple((row["image"], row["split"]) for row in _rows("gallery"))


def _rows(name: str) -> Iterator[dict[str, Any]]:
    content = files("likebut.research.clothing").joinpath("annotation_files", f"{name}.jsonl.gz").read_bytes()
    for line in gzip.decompress(content).decode("utf-8").splitlines():
        yield json.loads(line)


# Smaller copies first: training reads 256 pixels of each photograph.
_FOLDERS = ("images", "images_compressed", "images_original", ".")


def locate_photographs(root: Path, names: Iterable[str]) -> dict[str, ImageRef]:
    """Return where each photograph lies below ``root``, by name; one that is missing keeps the place it should have.

    Args:
        root: The public collection's folder (with ``images/``, ``images_compressed/`` or ``images_original/``), or the
            folder of photographs itself.
        names: The photographs' names; another suffix (``.JPEG``) is found too.

    Raises:
        InputError: There is no such folder.
    """
    if not root.is_dir():
        raise InputError(
            f"There is no folder {root}.", "Give the photographs' folder; `likebut data info clothing` says which."
        )
    found: dict[str, Path] = {}
    for folder in _FOLDERS:
        for path in _pictures(root / folder):
            found.setdefault(path.stem, path)
    by_the_book = root / "images" if (root / "images").is_dir() else root
    return {name: ImageRef(name, found.get(Path(name).stem, by_the_book / name)) for name in names}


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
