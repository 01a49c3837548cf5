"""i-CIR (Psomas et al., NeurIPS 2025) in its official layout. Each query ranks the database of its own instance."""

import csv
from collections.abc import Iterable
from pathlib import Path

from likebut.data.images import SUFFIXES
from likebut.data.triplets import Query
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
PLAN = MetricPlan(complete_ranking=True)
LICENCE_NOTE = "i-CIR is licensed CC BY-NC-SA 4.0: not for commercial use."

_OFFICIAL = {"queries": 1883, "instances": 202, "database images": 752092}

_Row = tuple[str, str, str]
"""Image path, text, instance."""


def load_icir(root: Path, split: str = "test") -> list[Benchmark]:
    """Load i-CIR.

    A database image is a target if its row has the instance and the text of the query. A query's id is the number of
    its row in ``query_files.csv``, from 0; an image's name is its path in the CSV files.

    Args:
        root: The folder with ``query_files.csv`` and ``database_files.csv``, or with ``annotations/`` that holds them.
        split: "test", the only one.

    Returns:
        A list of one benchmark.

    Raises:
        InputError: A file is missing or invalid, or an instance has queries and no database.
    """
    require_root(root)
    require_choice(split, SPLITS, "i-CIR split")
    query_rows, database_rows = (_read_rows(root, f"{kind}_files.csv") for kind in ("query", "database"))
    databases: dict[str, dict[str, None]] = {}
    targets: dict[tuple[str, str], dict[str, None]] = {}
    for path, text, instance in database_rows:
        databases.setdefault(instance, {})[path] = None
        targets.setdefault((instance, text), {})[path] = None
    for position, (_, _, instance) in enumerate(query_rows):
        if instance not in databases:
            raise InputError(
                f'query_files.csv: row {position} has the instance "{instance}", which database_files.csv lacks.',
                "Use the two files of one release.",
                code="instance-without-database",
            )
    # One tuple for each instance, shared by its queries.
    candidates = {instance: tuple(names) for instance, names in databases.items()}
    queries = []
    for position, (path, text, instance) in enumerate(query_rows):
        names = tuple(targets.get((instance, text), ()))
        queries.append(Query(str(position), path, text, names[0] if names else "", names))
    gallery = list(dict.fromkeys(path for path, _, _ in database_rows))
    found = {"queries": len(queries), "instances": len({row[2] for row in query_rows}), "database images": len(gallery)}
    benchmark = Benchmark(
        name="icir",
        split=split,
        protocol="original",
        gallery=gallery,
        queries=queries,
        images=locate_images(*_image_paths(root, dict.fromkeys([*gallery, *(row[0] for row in query_rows)]))),
        plan=PLAN,
        notes=(LICENCE_NOTE, *count_notes("i-CIR", found, _OFFICIAL), *_target_notes(queries)),
        candidates={query.id: candidates[row[2]] for query, row in zip(queries, query_rows, strict=True)},
        groups={query.id: row[2] for query, row in zip(queries, query_rows, strict=True)},
    )
    return [benchmark]


def _read_rows(root: Path, name: str) -> list[_Row]:
    """Return the rows of a CSV file without a header; a header that someone added is dropped."""
    path = first_existing([root / name, root / "annotations" / name])
    if path is None:
        raise InputError(
            f"i-CIR's annotations are missing: there is no {root / name} and no {root / 'annotations' / name}.",
            "Give the extracted archive or the folder downloaded from the hub with --root.",
            code="missing-annotations",
        )
    rows: list[_Row] = []
    with path.open(encoding="utf-8-sig", newline="") as handle:
        for number, row in enumerate(csv.reader(handle), start=1):
            if not row:
                continue
            if len(row) != 3:
                raise InputError(
                    f"{path}, line {number}, has {len(row)} cells, not image path, text and instance.",
                    "Use the official file.",
                    code="invalid-annotations",
                )
            rows.append((row[0], row[1], row[2]))
    if rows and Path(rows[0][0]).suffix.lower() not in SUFFIXES:
        rows.pop(0)
    if not rows:
        raise InputError(f"{path} has no rows.", "Use the official file.", code="invalid-annotations")
    return rows


def _image_paths(root: Path, names: Iterable[str]) -> tuple[Path, dict[str, str]]:
    """Return the folder that image paths are relative to, and the path of each image below it.

    The published code joins the paths to the folder above the data set; the archive's own paths may start at it.
    """
    paths = {name: name for name in names}
    first = next(iter(paths))
    without_folder = {name: name.partition("/")[2] or name for name in paths}
    for base, relative in ((root, paths), (root.parent, paths), (root, without_folder)):
        if (base / relative[first]).is_file():
            return base, relative
    return root, paths


def _target_notes(queries: list[Query]) -> tuple[str, ...]:
    without = sum(not query.targets for query in queries)
    return (f"{without} of {len(queries)} queries have no target in their database and count 0.",) if without else ()
