"""A data folder as a benchmark: the user's own data, and the sample data."""

from pathlib import Path

from likebut.data.folder import DataFolder
from likebut.data.triplets import ImageRef, Query
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark, MetricPlan

PLAN = MetricPlan(
    recall_at=(1, 5, 10, 50), subset_recall_at=(1, 2, 3), precision_at=(5, 10, 25, 50), hard_negatives=True
)


def load_folder(path: Path, split: str) -> list[Benchmark]:
    """Load one split of a data folder.

    Every image in a query's ``targets`` is relevant: Recall@K counts the best-ranked one. The reference is not a
    candidate unless it is among the targets.

    Returns:
        A list of one benchmark.

    Raises:
        InputError: The folder is invalid, or a query names an image outside the split's gallery.
    """
    folder = DataFolder.open(path)
    queries = folder.queries(split)
    gallery = folder.gallery(split)
    known = set(gallery)
    seen: set[str] = set()
    for query in queries:
        if query.id in seen:
            raise InputError(
                f'{path}: two triplets of the split "{split}" have the id "{query.id}".',
                "Give each its own id.",
                code="duplicate-query-id",
            )
        seen.add(query.id)
        for name in (*query.targets, *query.subset, *query.hard_negatives):
            if name not in known:
                raise InputError(
                    f'{path}: query {query.id} names "{name}", which is not in the gallery of the split "{split}".',
                    f"Run `likebut data verify {path}` for the full list.",
                    code="target-outside-gallery",
                )
    files = folder.images()
    names = dict.fromkeys([*gallery, *(query.reference for query in queries)])
    benchmark = Benchmark(
        name="folder",
        split=split,
        protocol="folder",
        gallery=gallery,
        queries=queries,
        images={name: files.get(name, ImageRef(name, folder.path / "images" / name)) for name in names},
        plan=PLAN,
        credits={query.id: dict.fromkeys(query.targets, 1.0) for query in queries},
        notes=_coverage_notes(queries),
    )
    return [benchmark]


def _coverage_notes(queries: list[Query]) -> tuple[str, ...]:
    with_subset = sum(bool(query.subset) for query in queries)
    with_hard_negatives = sum(bool(query.hard_negatives) for query in queries)
    counts = {"Recall_subset@K": with_subset, "The hard-negative rate": with_hard_negatives}
    return tuple(
        f"{metric} is computed over the {count} of {len(queries)} queries that define it."
        for metric, count in counts.items()
        if 0 < count < len(queries)
    )
