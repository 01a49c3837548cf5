"""CIRR (Liu et al., ICCV 2021) in its official layouts. The gallery is every key of the split file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from likebut.data.triplets import ImageRef, Query, Triplet
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
from likebut.files import read_json

SPLITS = ("train", "val", "test1")
LABELS = ("hard", "soft")
PROTOCOLS = ("original",)
PLAN = MetricPlan(recall_at=(1, 5, 10, 50), subset_recall_at=(1, 2, 3), average=True)
VERSION = "rc2"

_OFFICIAL_COUNTS = {
    "train": {"queries": 28225, "gallery images": 16939},
    "val": {"queries": 4181, "gallery images": 2297},
    "test1": {"queries": 4148, "gallery images": 2315},
}
_FIELDS = {"pairid": int, "reference": str, "caption": str, "img_set": dict}


def load_cirr(root: Path, split: str, labels: str = "hard") -> list[Benchmark]:
    """Load one split of CIRR.

    Args:
        root: The folder with ``captions/`` and ``image_splits/``, or the one above ``cirr/`` that holds them.
        split: "train", "val" or "test1"; the labels of test1 are hidden.
        labels: "hard" scores ``target_hard``, as every published table does. "soft" scores the authors' graded
            labels: a query earns the highest label among the retrieved images.

    Returns:
        A list of one benchmark.

    Raises:
        InputError: A file is missing or invalid.
    """
    require_choice(split, SPLITS, "CIRR split")
    require_choice(labels, LABELS, "kind of labels")
    images = cirr_images(root, split)
    path, entries = _read_captions(root, split)
    known = set(images)
    for entry in entries:
        names = [entry["reference"], *entry["img_set"]["members"], *entry.get("target_soft", {})]
        require_names([*names, entry.get("target_hard", entry["reference"])], known, path, f"pair {entry['pairid']}")
    labelled = has_labels(entries, "target_hard", path)
    credits = _soft_credits(entries, path) if labelled and labels == "soft" else {}
    found = {"queries": len(entries), "gallery images": len(images)}
    benchmark = Benchmark(
        name="cirr",
        split=split,
        protocol="original",
        gallery=list(images),
        queries=[_query(entry) for entry in entries],
        images=images,
        plan=PLAN,
        labels=labels if labelled else "hidden",
        credits=credits,
        notes=count_notes(f"CIRR {split}", found, _OFFICIAL_COUNTS[split]) + _unscorable_note(credits),
    )
    return [benchmark]


def load_cirr_triplets(
    root: Path, split: str = "train", labels: str = "hard"
) -> tuple[list[Triplet], dict[str, ImageRef]]:
    """Load the human triplets of a split, for training.

    Args:
        root: As for :func:`load_cirr`.
        split: "train" or "val".
        labels: With "soft", a triplet's ``targets`` also contains the images that annotators scored above 0.

    Returns:
        The triplets, and every image of the split by name.

    Raises:
        InputError: A file is missing or invalid, or the split's labels are hidden.
    """
    [benchmark] = load_cirr(root, split, labels)
    benchmark.require_labels()
    triplets = [
        Triplet(
            reference=query.reference,
            target=query.target,
            modification=query.modification,
            split=split,
            id=query.id,
            targets=tuple(dict.fromkeys([query.target, *benchmark.credits_of(query)])),
            subset=query.subset,
        )
        for query in benchmark.queries
    ]
    return triplets, benchmark.images


def cirr_images(root: Path, split: str) -> dict[str, ImageRef]:
    """Return every image of a split by name, in the split file's order; the files may be missing.

    Raises:
        InputError: The split file is missing or invalid.
    """
    path = _annotations(root) / "image_splits" / f"split.{VERSION}.{split}.json"
    paths = read_json(path)
    if not isinstance(paths, dict) or not all(isinstance(value, str) for value in paths.values()):
        raise InputError(
            f"{path} does not map names to paths.", "Use the official image_splits file.", code="invalid-annotations"
        )
    official = root / "img_raw"
    # The folder that holds train, dev and test1, in whichever of the three layouts is in use.
    bases = (official, root / "cirr" / "img_raw", root)
    found = (base for base in bases if any((base / name).is_dir() for name in ("train", "dev", "test1")))
    return locate_images(next(found, official), paths)


def _annotations(root: Path) -> Path:
    require_root(root)
    folder = first_existing([root / "captions", root / "cirr" / "captions"])
    if folder is None:
        raise InputError(
            f"CIRR's annotations are missing: there is no {root / 'captions'} and no {root / 'cirr' / 'captions'}.",
            "Clone the branch cirr_dataset of CIRR's repository there.",
            code="missing-annotations",
        )
    return folder.parent


def _read_captions(root: Path, split: str) -> tuple[Path, list[dict[str, Any]]]:
    path = _annotations(root) / "captions" / f"cap.{VERSION}.{split}.json"
    entries = read_entries(path, _FIELDS)
    for entry in entries:
        members = entry["img_set"].get("members")
        if not isinstance(members, list) or not all(isinstance(name, str) for name in members):
            raise InputError(
                f'{path}: the img_set of pair {entry["pairid"]} has no "members".',
                "Use the official captions file.",
                code="invalid-annotations",
            )
    return path, entries


def _query(entry: Mapping[str, Any]) -> Query:
    reference, target = entry["reference"], entry.get("target_hard", "")
    return Query(
        id=str(entry["pairid"]),
        reference=reference,
        modification=entry["caption"],
        target=target,
        targets=(target,) if target else (),
        subset=tuple(name for name in entry["img_set"]["members"] if name != reference),
        excluded=(reference,),
    )


def _soft_credits(entries: list[dict[str, Any]], path: Path) -> dict[str, dict[str, float]]:
    """Return the graded labels above 0, without the reference, which some list by mistake."""
    credits: dict[str, dict[str, float]] = {}
    for entry in entries:
        scores = entry.get("target_soft")
        if not isinstance(scores, dict):
            raise InputError(
                f'{path}: pair {entry["pairid"]} has no "target_soft".', "Use --labels hard.", code="no-labels"
            )
        credits[str(entry["pairid"])] = {
            name: float(score) for name, score in scores.items() if score > 0 and name != entry["reference"]
        }
    return credits


def _unscorable_note(credits: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    empty = sum(not scores for scores in credits.values())
    if not empty:
        return ()
    return (
        f"{empty} of {len(credits)} queries have no positive soft label and count as misses, as in the authors' code.",
    )
