"""CIRCO (Baldrati et al., ICCV 2023) in its official layout. The gallery is all of COCO unlabeled2017."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from likebut.data.triplets import ImageRef, Query
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark, MetricPlan
from likebut.evaluation.benchmarks.layout import (
    count_notes,
    first_existing,
    has_labels,
    locate_images,
    read_entries,
    require_choice,
    require_names,
    require_root,
)
from likebut.evaluation.query_templates import RELATIVE_CAPTION
from likebut.files import read_json

SPLITS = ("val", "test")
PROTOCOLS = ("original", "original-without-reference")
ASPECTS = (
    "cardinality",
    "addition",
    "negation",
    "direct_addressing",
    "compare_change",
    "comparative_statement",
    "statement_with_conjunction",
    "spatial_relations_background",
    "viewpoint",
)
PLAN = MetricPlan(precision_at=(5, 10, 25, 50), recall_at=(5, 10, 25, 50), aspects=ASPECTS)

_OFFICIAL_QUERIES = {"val": 220, "test": 800}
_OFFICIAL_GALLERY = 123403
_LISTING = "image_info_unlabeled2017.json"
_TEXT_FIELDS = ("relative_caption", "shared_concept")


def load_circo(root: Path, split: str, protocol: str = "original") -> list[Benchmark]:
    """Load one split of CIRCO.

    Without COCO's ``image_info_unlabeled2017.json`` the gallery is empty: enough to score a ranking file, not enough to
    evaluate a model.

    Args:
        root: The folder with ``annotations/`` and ``COCO2017_unlabeled/``, or the content of the latter.
        split: "val" or "test"; the labels of test are hidden.
        protocol: "original" (the reference stays in) or "original-without-reference".

    Returns:
        A list of one benchmark. An image's name is its COCO id in decimal digits.

    Raises:
        InputError: A file is missing or invalid.
    """
    require_root(root)
    require_choice(split, SPLITS, "CIRCO split")
    require_choice(protocol, PROTOCOLS, "CIRCO protocol")
    path = root / "annotations" / f"{split}.json"
    entries = read_entries(path, {"id": int, "reference_img_id": int, "relative_caption": str})
    labelled = has_labels(entries, "gt_img_ids", path)
    queries = [_query(entry, protocol) for entry in entries]
    file_names = _gallery_file_names(root)
    if file_names:
        known = set(file_names)
        for query in queries:
            require_names([query.reference, *query.targets], known, path, f"query {query.id}")
    found = {"queries": len(queries), "gallery images": len(file_names)}
    official = {"queries": _OFFICIAL_QUERIES[split]} | ({"gallery images": _OFFICIAL_GALLERY} if file_names else {})
    benchmark = Benchmark(
        name="circo",
        split=split,
        protocol=protocol,
        gallery=list(file_names),
        queries=queries,
        images=_images(root, file_names, queries),
        plan=PLAN,
        labels="hard" if labelled else "hidden",
        aspects={str(entry["id"]): tuple(entry.get("semantic_aspects", ())) for entry in entries},
        notes=count_notes(f"CIRCO {split}", found, official) + _gallery_note(root, file_names),
        text_fields={
            str(entry["id"]): {name: entry[name] for name in _TEXT_FIELDS if isinstance(entry.get(name), str)}
            for entry in entries
        },
        query_template=RELATIVE_CAPTION,
    )
    return [benchmark]


def _gallery_note(root: Path, file_names: Mapping[str, str]) -> tuple[str, ...]:
    if file_names:
        return ()
    return (f"CIRCO's gallery is not known: there is no {_listing_candidates(root)[0]}.",)


def _listing_candidates(root: Path) -> list[Path]:
    return [
        root / "COCO2017_unlabeled" / "annotations" / _LISTING,
        root / "annotations" / _LISTING,
        root / _LISTING,
    ]


def _gallery_file_names(root: Path) -> dict[str, str]:
    """Return the file name of each gallery image by its id; empty if COCO's list is missing."""
    path = first_existing(_listing_candidates(root))
    if path is None:
        return {}
    listing = read_json(path)
    images = listing.get("images") if isinstance(listing, dict) else None
    if not isinstance(images, list) or not all(isinstance(image, dict) and "id" in image for image in images):
        raise InputError(
            f'{path} has no list "images" of objects with an "id".', "Use COCO's own file.", code="invalid-annotations"
        )
    return {str(image["id"]): str(image.get("file_name", _file_name(image["id"]))) for image in images}


def _file_name(image_id: int | str) -> str:
    return f"{int(image_id):012d}.jpg"


def _images(root: Path, file_names: Mapping[str, str], queries: list[Query]) -> dict[str, ImageRef]:
    official = root / "COCO2017_unlabeled" / "unlabeled2017"
    base = first_existing([official, root / "unlabeled2017"]) or official
    named = {name for query in queries for name in (query.reference, *query.targets)}
    return locate_images(base, dict(file_names) or {name: _file_name(name) for name in sorted(named)})


def _query(entry: Mapping[str, Any], protocol: str) -> Query:
    reference = str(entry["reference_img_id"])
    targets = tuple(str(target) for target in entry.get("gt_img_ids", ()))
    without_reference = protocol == "original-without-reference" and reference not in targets
    return Query(
        id=str(entry["id"]),
        reference=reference,
        modification=entry["relative_caption"],
        target=str(entry["target_img_id"]) if "target_img_id" in entry else "",
        targets=targets,
        excluded=(reference,) if without_reference else (),
    )
