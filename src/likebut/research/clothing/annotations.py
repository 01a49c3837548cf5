"""The annotations in the package: descriptions of photographs, and modification texts for pairs of them.

``annotation_files/README.md`` documents their source and their limits.
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

# Smaller copies first: training reads 256 pixels of each photograph.
_FOLDERS = ("images", "images_compressed", "images_original", ".")


class Photograph(BaseModel):
    """The annotation of one photograph.

    Attributes:
        image: File name in the public collection.
        split: "train" or "val".
        photographer: A number; no photographer is in both splits.
        kids: Whether the garment is for children.
        type: "t-shirt", "sneakers", …
        colours: Dominant first, at most three.
        pattern: "plain", "striped", "graphic print", …
        cut: Sleeves, neck, closure, length, … as comma-separated phrases.
        detail: What distinguishes it from similar items; often empty.
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
    """Return each line of the gallery as ``(image, split)``."""
    return tuple((row["image"], row["split"]) for row in _rows("gallery"))


def locate_photographs(root: Path, names: Iterable[str]) -> dict[str, ImageRef]:
    """Return the file of each photograph below ``root``, by name; a missing one keeps its expected path.

    Args:
        root: The public collection's folder (with ``images/``, ``images_compressed/`` or ``images_original/``), or the
            folder of photographs itself.
        names: The photographs' names; other suffixes (``.JPEG``) are found too.

    Raises:
        InputError: There is no such folder.
    """
    if not root.is_dir():
        raise InputError(
            f"There is no folder {root}.",
            "Give the photographs' folder; see `likebut data info clothing`.",
            code="missing-folder",
        )
    found: dict[str, Path] = {}
    for folder in _FOLDERS:
        for path in _image_files(root / folder):
            found.setdefault(path.stem, path)
    expected = root / "images" if (root / "images").is_dir() else root
    return {name: ImageRef(name, found.get(Path(name).stem, expected / name)) for name in names}


def _rows(name: str) -> Iterator[dict[str, Any]]:
    content = files("likebut.research.clothing").joinpath("annotation_files", f"{name}.jsonl.gz").read_bytes()
    for line in gzip.decompress(content).decode("utf-8").splitlines():
        yield json.loads(line)


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
