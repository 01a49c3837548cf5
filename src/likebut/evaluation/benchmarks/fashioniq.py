"""FashionIQ (Wu et al., CVPR 2021) in its official layout, under the three protocols in use."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from likebut.data.triplets import ImageRef, Query, Triplet
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark, MetricPlan
from likebut.evaluation.benchmarks.layout import (
    count_notes,
    has_labels,
    locate_images,
    read_entries,
    require_choice,
    require_names,
    require_root,
)
from likebut.evaluation.query_templates import CAPTIONS_AND, FASHIONIQ_TRAINING, QUERY_TEMPLATES
from likebut.files import read_json

CATEGORIES = ("dress", "shirt", "toptee")
SPLITS = ("train", "val", "test")
PROTOCOLS = ("original", "original-without-reference", "val-split")
PLAN = MetricPlan(recall_at=(10, 50))

_OFFICIAL_QUERIES = {"dress": 2017, "shirt": 2038, "toptee": 1961}
_OFFICIAL_GALLERIES = {
    "original": {"dress": 3817, "shirt": 6346, "toptee": 5373},
    "original-without-reference": {"dress": 3817, "shirt": 6346, "toptee": 5373},
    "val-split": {"dress": 2628, "shirt": 3089, "toptee": 2902},
}


def load_fashioniq(
    root: Path, split: str, protocol: str = "original", categories: Sequence[str] = CATEGORIES
) -> list[Benchmark]:
    """Load one split of FashionIQ.

    Args:
        root: The folder with ``captions/``, ``image_splits/`` and ``images/``.
        split: "train", "val" or "test"; the labels of test are hidden.
        protocol: "original" (the gallery is the split file and the reference stays in),
            "original-without-reference", or "val-split" (the gallery is the union of references and targets).
        categories: Which to load.

    Returns:
        One benchmark for each category, in the order given.

    Raises:
        InputError: A file is missing or invalid.
    """
    require_choice(split, SPLITS, "FashionIQ split")
    require_choice(protocol, PROTOCOLS, "FashionIQ protocol")
    return [_load_category(root, split, protocol, category) for category in categories]


def load_fashioniq_triplets(
    root: Path, split: str = "train", categories: Sequence[str] = CATEGORIES
) -> tuple[list[Triplet], dict[str, ImageRef]]:
    """Load the human triplets of a split, for training.

    A triplet's ``meta`` contains its ``category`` and its two ``captions``, from which :func:`training_text` samples a
    text in each epoch. Its ``modification`` is the text used in evaluation.

    Returns:
        The triplets of all categories, and every image of the split by name.

    Raises:
        InputError: A file is missing or invalid, or the split's labels are hidden.
    """
    triplets: list[Triplet] = []
    images: dict[str, ImageRef] = {}
    for category in categories:
        benchmark = _load_category(root, split, "original", category)
        benchmark.require_labels()
        images |= benchmark.images
        _, entries = _read_captions(root, split, category)
        triplets += [
            Triplet(
                reference=entry["candidate"],
                target=entry["target"],
                modification=join_captions(entry["captions"]),
                split=split,
                id=f"{category}-{position}",
                meta={"category": category, "captions": entry["captions"]},
            )
            for position, entry in enumerate(entries)
        ]
    return triplets, images


def join_captions(captions: Sequence[str]) -> str:
    """Return the modification text of a query: its captions, stripped of ``.?, `` at both ends, joined by " and "."""
    return _write(CAPTIONS_AND, captions)


def training_text(triplet: Triplet, generator: np.random.Generator) -> str:
    """Return "c1 and c2", "c2 and c1", "c1" or "c2" with equal probability, as the published code trains.

    A triplet without ``captions`` in its ``meta``, such as a reversed one, keeps its own text.
    """
    captions = triplet.meta.get("captions")
    if captions is None:
        return triplet.modification
    return _write(FASHIONIQ_TRAINING[int(generator.integers(len(FASHIONIQ_TRAINING)))], captions)


def _write(template: str, captions: Sequence[str]) -> str:
    [text] = QUERY_TEMPLATES[template].fill(_text_fields(captions))
    return text


def _text_fields(captions: Sequence[str]) -> dict[str, str]:
    first, second = (caption.strip(".?, ") for caption in captions)
    return {"first_caption": first, "second_caption": second}


def _load_category(root: Path, split: str, protocol: str, category: str) -> Benchmark:
    require_root(root)
    require_choice(category, CATEGORIES, "FashionIQ category")
    path, entries = _read_captions(root, split, category)
    labelled = has_labels(entries, "target", path)
    listed = _read_split(root, split, category)
    known = set(listed)
    for position, entry in enumerate(entries):
        require_names([entry["candidate"], entry.get("target", entry["candidate"])], known, path, f"query {position}")
    gallery = listed
    if protocol == "val-split":
        used = {entry[role] for entry in entries for role in ("candidate", "target") if role in entry}
        gallery = [name for name in listed if name in used]
    official = {"queries": _OFFICIAL_QUERIES[category], "gallery images": _OFFICIAL_GALLERIES[protocol][category]}
    found = {"queries": len(entries), "gallery images": len(gallery)}
    return Benchmark(
        name="fashioniq",
        split=split,
        protocol=protocol,
        gallery=gallery,
        queries=[_query(entry, position, protocol) for position, entry in enumerate(entries)],
        images=locate_images(root / "images", {name: f"{name}.jpg" for name in listed}),
        plan=PLAN,
        part=category,
        labels="hard" if labelled else "hidden",
        notes=count_notes(f"FashionIQ {split} {category}", found, official if split == "val" else {}),
        parts=CATEGORIES,
        text_fields={str(position): _text_fields(entry["captions"]) for position, entry in enumerate(entries)},
        query_template=CAPTIONS_AND,
    )


def _read_captions(root: Path, split: str, category: str) -> tuple[Path, list[dict[str, Any]]]:
    path = root / "captions" / f"cap.{category}.{split}.json"
    entries = read_entries(path, {"candidate": str, "captions": list})
    for position, entry in enumerate(entries):
        captions = entry["captions"]
        if len(captions) != 2 or not all(isinstance(caption, str) for caption in captions):
            raise InputError(
                f"{path}: entry {position} does not have two captions.",
                "Use the official captions file.",
                code="invalid-annotations",
            )
    return path, entries


def _read_split(root: Path, split: str, category: str) -> list[str]:
    path = root / "image_splits" / f"split.{category}.{split}.json"
    names = read_json(path)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"{path} is not a list of names.", "Use the official image_splits file.", code="invalid-annotations"
        )
    return list(dict.fromkeys(names))


def _query(entry: dict[str, Any], position: int, protocol: str) -> Query:
    reference, target = entry["candidate"], entry.get("target", "")
    return Query(
        id=str(position),
        reference=reference,
        modification=join_captions(entry["captions"]),
        target=target,
        targets=(target,) if target else (),
        excluded=(reference,) if protocol == "original-without-reference" else (),
    )
