"""The annotations that the package holds: what each photograph shows, and the texts between pairs of them.

Where they come from, and how far they can be trusted, is said in ``annotation_files/README.md``.
"""

import gzip
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict

from likebut.triplets import Triplet, triplet_from_row

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
    content = files("likebut.clothing").joinpath("annotation_files", f"{name}.jsonl.gz").read_bytes()
    for line in gzip.decompress(content).decode("utf-8").splitlines():
        yield json.loads(line)
