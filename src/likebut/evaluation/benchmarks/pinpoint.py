"""PinPoint (Mahadev et al., CVPR 2026) in its official layout: several targets, explicit negatives, paraphrases."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from likebut.data.triplets import ImageRef, Query
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark, MetricPlan
from likebut.evaluation.benchmarks.layout import (
    count_notes,
    first_existing,
    locate_images,
    require_choice,
    require_root,
)

SPLITS = ("test",)
PROTOCOLS = ("original",)
SINGLE_IMAGE, MULTI_IMAGE = "single-image", "multi-image"
PLAN = MetricPlan(
    precision_at=(10,), hits_at=(1, 10), negatives_at=(10,), group_range_at=10, aspects=(SINGLE_IMAGE, MULTI_IMAGE)
)

_FILES = ("pinpoint_licensed.parquet", "pinpoint_metadata.parquet")
_INDEX = "index_signatures.txt"
_TEXTS = ("query_id", "query_image_signature", "instruction")
_LISTS = ("positive_candidates", "negative_candidates")
_SECOND_IMAGE = "query_image_signature2"
_OFFICIAL = {"queries": 7635, "gallery images": 109599}


def load_pinpoint(root: Path, split: str = "test") -> list[Benchmark]:
    """Load PinPoint.

    A query's hard negatives are its ``negative_candidates``. Queries with the same reference images are one group of
    paraphrases, as in the authors' evaluation. The reference images stay in the gallery.

    Args:
        root: The folder with ``pinpoint_licensed.parquet``, ``index_signatures.txt`` and ``images/``. The release has
            no image files; those in ``images/`` are ``<signature>.jpg``, flat or in the folders of their addresses
            (``ab/cd/ef/abcdef….jpg``).
        split: "test", the only one.

    Returns:
        A list of one benchmark. An image's name is its signature.

    Raises:
        InputError: A file or a column is missing, or a row is invalid.
    """
    require_root(root)
    require_choice(split, SPLITS, "PinPoint split")
    path, rows = _read_rows(root)
    gallery = _read_index(root / _INDEX)
    complete = [row for row in rows if row["query_image_signature"] and row["instruction"]]
    queries = [_query(row, path, number) for number, row in enumerate(complete)]
    _require_unique(queries, path)
    known = set(gallery)
    names = [*gallery, *(name for query in queries for name in query.references if name not in known)]
    found = {"queries": len(queries), "gallery images": len(gallery)}
    benchmark = Benchmark(
        name="pinpoint",
        split=split,
        protocol="original",
        gallery=gallery,
        queries=queries,
        images=_images(root / "images", names),
        plan=PLAN,
        aspects={query.id: (MULTI_IMAGE if query.further_references else SINGLE_IMAGE,) for query in queries},
        groups={query.id: "+".join(query.references) for query in queries},
        notes=count_notes("PinPoint", found, _OFFICIAL) + _notes(queries, known, len(rows) - len(complete)),
    )
    return [benchmark]


def normalise_query_id(value: object) -> str:
    """Return a query id as result files write it: "query_42", "42" and 42 are "00042"."""
    return str(value).removeprefix("query_").zfill(5)


def _read_rows(root: Path) -> tuple[Path, list[dict[str, Any]]]:
    path = first_existing([root / name for name in _FILES])
    if path is None:
        raise InputError(
            f"PinPoint's queries are missing: there is no {root / _FILES[0]}.",
            "Clone the authors' repository (pinterest/pinpoint-dataset) there.",
            code="missing-annotations",
        )
    try:
        columns = pq.read_schema(path).names
        missing = [name for name in (*_TEXTS, *_LISTS) if name not in columns]
        if missing:
            raise InputError(
                f'{path} has no column "{missing[0]}".', "Use the official file.", code="invalid-annotations"
            )
        wanted = [name for name in (*_TEXTS, _SECOND_IMAGE, *_LISTS) if name in columns]
        return path, pq.read_table(path, columns=wanted).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        # A clone without Git LFS leaves a text file of three lines where the data should be.
        raise InputError(
            f"{path} is not a Parquet file ({str(error).splitlines()[0]}).",
            "Download it again; a clone may hold a Git LFS pointer instead.",
            code="invalid-annotations",
        ) from None


def _read_index(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(
            f"PinPoint's gallery is missing: there is no {path}.",
            "Clone the authors' repository (pinterest/pinpoint-dataset) there.",
            code="missing-annotations",
        )
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return list(dict.fromkeys(line for line in lines if line))


def _query(row: dict[str, Any], path: Path, number: int) -> Query:
    lists = []
    for name in _LISTS:
        values = row[name] if row[name] is not None else []
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise InputError(
                f'{path}: the "{name}" of row {number} is not a list of signatures.',
                "Use the official file.",
                code="invalid-annotations",
            )
        lists.append(tuple(dict.fromkeys(values)))
    targets, negatives = lists
    second = row.get(_SECOND_IMAGE)
    return Query(
        id=normalise_query_id(row["query_id"]),
        reference=row["query_image_signature"],
        modification=row["instruction"],
        target=targets[0] if targets else "",
        targets=targets,
        hard_negatives=negatives,
        # A missing second image is null, an empty text, or a NaN from pandas.
        further_references=(second,) if isinstance(second, str) and second else (),
    )


def _require_unique(queries: list[Query], path: Path) -> None:
    seen: set[str] = set()
    for query in queries:
        if query.id in seen:
            raise InputError(
                f"{path}: two rows have the query id {query.id}.", "Use the official file.", code="duplicate-query-id"
            )
        seen.add(query.id)
    if not queries:
        raise InputError(f"{path} has no queries.", "Use the official file.", code="invalid-annotations")


def _images(base: Path, names: list[str]) -> dict[str, ImageRef]:
    nested = {name: f"{name[:2]}/{name[2:4]}/{name[4:6]}/{name}.jpg" for name in names}
    first = names[0]
    in_folders = not (base / f"{first}.jpg").is_file() and (base / first[:2]).is_dir()
    return locate_images(base, nested if in_folders else {name: f"{name}.jpg" for name in names})


def _notes(queries: list[Query], known: set[str], incomplete: int) -> tuple[str, ...]:
    outside = sum(not known.issuperset(query.targets) for query in queries)
    without = sum(not query.targets for query in queries)
    both = sum(not set(query.targets).isdisjoint(query.hard_negatives) for query in queries)
    counts = {
        f"{incomplete} rows without a reference image or an instruction are left out.": incomplete,
        f"{outside} queries have targets outside the gallery, which can never be retrieved.": outside,
        f"{without} queries have no target and count 0.": without,
        f"{both} queries have an image that is both a target and a hard negative.": both,
    }
    return tuple(note for note, count in counts.items() if count)
