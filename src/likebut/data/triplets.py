"""Triplets and composed queries, and their files.

A :class:`Triplet` is a training example: a reference image, a modification text and the target image(s). A
:class:`Query` is an evaluation query with its ground truth.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from likebut.errors import InputError
from likebut.files import atomic_path, read_jsonl, write_jsonl

REQUIRED_FIELDS = ("split", "reference", "target", "modification")
_TEXT_FIELDS = ("split", "id", "reference", "target", "modification", "reverse_modification")
_LIST_FIELDS = ("targets", "subset", "hard_negatives")
KNOWN_FIELDS = frozenset({*_TEXT_FIELDS, *_LIST_FIELDS, "meta"})

CropBox = tuple[int, int, int, int]
"""Left, top, right and bottom edge in pixels; right and bottom are exclusive."""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image file and its name in triplets and rankings.

    Attributes:
        view: 0 for the image itself; other numbers are augmented views of it (``data/views.py``).
        crop: The part of the file that is the image (:func:`likebut.data.images.crop_square`); all of it if None.
    """

    name: str
    path: Path
    view: int = 0
    crop: CropBox | None = None


@dataclass(frozen=True, slots=True)
class Triplet:
    """A reference image, a modification text and a target image; images by name.

    Attributes:
        split: "train", "val" or "test".
        targets: All correct images; by default ``(target,)``.
        subset: Candidates of Recall_subset@K; empty if undefined.
        hard_negatives: Images that resemble the target and are incorrect.
        meta: Other fields of the data, unchanged.
    """

    reference: str
    target: str
    modification: str
    split: str = "train"
    id: str = ""
    reverse_modification: str | None = None
    targets: tuple[str, ...] = ()
    subset: tuple[str, ...] = ()
    hard_negatives: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Set the default of ``targets``."""
        if not self.targets:
            object.__setattr__(self, "targets", (self.target,))

    def images(self) -> set[str]:
        """Return the names of all images of the triplet."""
        return {self.reference, self.target, *self.targets, *self.subset, *self.hard_negatives}

    def to_row(self) -> dict[str, Any]:
        """Return the triplet as a line of ``triplets.jsonl``, without empty fields."""
        row: dict[str, Any] = {"split": self.split}
        if self.id:
            row["id"] = self.id
        row |= {"reference": self.reference, "target": self.target, "modification": self.modification}
        if self.reverse_modification is not None:
            row["reverse_modification"] = self.reverse_modification
        if self.targets != (self.target,):
            row["targets"] = list(self.targets)
        for name in ("subset", "hard_negatives"):
            if names := getattr(self, name):
                row[name] = list(names)
        if self.meta:
            row["meta"] = dict(self.meta)
        return row


@dataclass(frozen=True, slots=True)
class Query:
    """A composed query with its ground truth; images by name.

    Attributes:
        targets: All correct images.
        target: The correct image of single-target metrics.
        subset: Candidates of Recall_subset@K, without the reference.
        hard_negatives: Images that resemble the target and are incorrect.
        excluded: Images that are not candidates: the reference, unless it is a target.
        further_references: The second and later reference images of a query that has several.
        further_modifications: The second and later modification texts of a query that has several. Such a query, or one
            with several reference images, is embedded as the mean of its embeddings.
    """

    id: str
    reference: str
    modification: str
    target: str
    targets: tuple[str, ...]
    subset: tuple[str, ...] = ()
    hard_negatives: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    further_references: tuple[str, ...] = ()
    further_modifications: tuple[str, ...] = ()

    @property
    def references(self) -> tuple[str, ...]:
        """All reference images, in order."""
        return (self.reference, *self.further_references)

    @property
    def modifications(self) -> tuple[str, ...]:
        """All modification texts, in order."""
        return (self.modification, *self.further_modifications)

    @classmethod
    def from_triplet(cls, triplet: Triplet, position: int) -> "Query":
        """Return the query of a triplet, the ``position``-th of its split."""
        excluded = () if triplet.reference in triplet.targets else (triplet.reference,)
        return cls(
            id=triplet.id or str(position),
            reference=triplet.reference,
            modification=triplet.modification,
            target=triplet.target,
            targets=triplet.targets,
            subset=tuple(name for name in triplet.subset if name not in excluded),
            hard_negatives=triplet.hard_negatives,
            excluded=excluded,
        )


def row_faults(row: Mapping[str, Any], where: str) -> list[InputError]:
    """Return all faults of one line of ``triplets.jsonl``.

    Args:
        row: The JSON object of the line.
        where: File and line, for the messages.
    """
    known = ", ".join(sorted(KNOWN_FIELDS))
    faults = [
        InputError(f'{where} has no "{name}".', f'Add the field "{name}".')
        for name in REQUIRED_FIELDS
        if name not in row
    ]
    for name, value in row.items():
        if name not in KNOWN_FIELDS:
            remedy = f'Put it under "meta", or use: {known}.'
            faults.append(InputError(f'{where} has the unknown field "{name}".', remedy))
        elif name in _TEXT_FIELDS and not isinstance(value, str):
            faults.append(InputError(f'{where}: "{name}" is {value!r}, not a string.', "Put it in quotes."))
        elif name in _LIST_FIELDS and not _is_list_of_names(value):
            faults.append(InputError(f'{where}: "{name}" is not a list of image names.', 'Write ["name", …].'))
        elif name == "meta" and not isinstance(value, dict):
            faults.append(InputError(f'{where}: "meta" is not an object.', "Write {…}."))
        elif name == "modification" and not value.strip():
            faults.append(InputError(f"{where} has an empty modification text.", "Describe what should be different."))
        elif name == "reverse_modification" and not value.strip():
            faults.append(InputError(f"{where}: the reverse modification text is empty.", "Omit the field."))
    return faults or _contradictions(row, where)


def triplet_from_row(row: Mapping[str, Any], where: str) -> Triplet:
    """Return the triplet of one line of ``triplets.jsonl``.

    Args:
        row: The JSON object of the line.
        where: File and line, for the message.

    Raises:
        InputError: A field is missing, unknown, of the wrong type, or contradicts another.
    """
    faults = row_faults(row, where)
    if faults:
        raise faults[0]
    fields: dict[str, Any] = {name: row[name] for name in _TEXT_FIELDS if name in row}
    fields |= {name: tuple(row[name]) for name in _LIST_FIELDS if name in row}
    return Triplet(**fields, meta=row.get("meta", {}))


def read_triplets(path: Path, split: str | None = None) -> list[Triplet]:
    """Return the triplets of a JSONL file, optionally of one split only.

    Raises:
        InputError: The file is missing, or a line is invalid.
    """
    triplets = (triplet_from_row(row, f"{path} line {number}") for number, row in read_jsonl(path))
    return [triplet for triplet in triplets if split is None or triplet.split == split]


def write_triplets(path: Path, triplets: Iterable[Triplet]) -> None:
    """Write triplets to a JSONL file, atomically."""
    write_jsonl(path, (triplet.to_row() for triplet in triplets))


def write_triplets_parquet(path: Path, triplets: Iterable[Triplet]) -> None:
    """Write triplets to a Parquet file, atomically, without ``meta``."""
    rows = [{key: value for key, value in triplet.to_row().items() if key != "meta"} for triplet in triplets]
    names = pa.list_(pa.string())
    schema = pa.schema([(name, pa.string()) for name in _TEXT_FIELDS] + [(name, names) for name in _LIST_FIELDS])
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)


def read_triplets_parquet(path: Path) -> list[Triplet]:
    """Return the triplets of a Parquet file written by :func:`write_triplets_parquet`."""
    rows = pq.read_table(path).to_pylist()
    return [
        triplet_from_row({key: value for key, value in row.items() if value is not None}, f"{path} row {number}")
        for number, row in enumerate(rows, start=1)
    ]


def _contradictions(row: Mapping[str, Any], where: str) -> list[InputError]:
    """Return contradictions between fields, which would corrupt both training and metrics."""
    faults = []
    targets = {row["target"], *row.get("targets", ())}
    if row.get("targets") and row["target"] not in row["targets"]:
        faults.append(InputError(f'{where}: the target {row["target"]} is not among "targets".', "Add it there."))
    for image in sorted(targets & set(row.get("hard_negatives", ()))):
        faults.append(
            InputError(f"{where}: {image} is both a target and a hard negative.", "Remove it from one of the two.")
        )
    return faults


def _is_list_of_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
