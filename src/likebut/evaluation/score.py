"""Scoring a file of rankings, without a model."""

from pathlib import Path

from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.fashioniq import CATEGORIES, load_fashioniq
from likebut.evaluation.benchmarks.genecis import TASKS, load_genecis
from likebut.evaluation.benchmarks.loading import find_benchmark, load_benchmark
from likebut.evaluation.metrics import compute_metrics, outcome_from_lists
from likebut.evaluation.ranking_files import (
    RankingLists,
    check_gallery_lists,
    read_circo_rankings,
    read_cirr_rankings,
    read_pinpoint_rankings,
    read_ranking_file,
    read_rankings_of_parts,
)
from likebut.evaluation.report import EvaluationReport, build_report


def score(
    name: str,
    root: Path,
    split: str,
    predictions: Path | None,
    subset_predictions: Path | None = None,
    protocol: str | None = None,
    labels: str | None = None,
) -> EvaluationReport:
    """Compute the metrics of the rankings in a file.

    Args:
        name: A key of the registry of benchmarks.
        root: The benchmark's folder; its images are not needed.
        split: One of the benchmark's splits.
        predictions: The rankings of the gallery, in the benchmark's own submission format.
        subset_predictions: CIRR's second file; with it alone, only Recall_subset@K is computed.
        protocol: One of the benchmark's protocols; the authors' own if None.
        labels: "hard" or "soft", for CIRR; hard if None.

    Raises:
        InputError: The file is invalid, or the split's labels are hidden.
    """
    parts = []
    for benchmark, lists, subset_lists in read_predictions(
        name, root, split, predictions, subset_predictions, protocol, labels
    ):
        if benchmark.labels == "hidden":
            raise InputError(
                f"The files are valid, but the labels of {benchmark.title} are hidden, so no metric can be computed.",
                "Upload them to the benchmark's test server (`likebut submit` writes them), or use the split val.",
                code="hidden-labels",
            )
        none: list[None] = [None] * len(benchmark.queries)
        rows = zip(benchmark.queries, lists or none, subset_lists or none, strict=True)
        outcomes = [outcome_from_lists(benchmark, *row) for row in rows]
        parts.append((benchmark, compute_metrics(benchmark, outcomes)))
    return build_report(parts)


def read_predictions(
    name: str,
    root: Path,
    split: str,
    predictions: Path | None,
    subset_predictions: Path | None = None,
    protocol: str | None = None,
    labels: str | None = None,
) -> list[tuple[Benchmark, RankingLists | None, RankingLists | None]]:
    """Read and check ranking files; arguments and errors as for :func:`score`.

    Returns:
        Each part of the benchmark with its rankings of the gallery and of the subsets, where there are any.
    """
    entry = find_benchmark(name)
    if subset_predictions is not None and name != "cirr":
        raise InputError(
            f"{name} has no subsets to rank.", "Leave out --subset-predictions; it is CIRR's.", code="no-subsets"
        )
    if predictions is None and subset_predictions is None:
        raise InputError("No ranking file was given.", "Give one with --predictions.", code="no-predictions")
    if name in ("fashioniq", "genecis") and predictions is not None:
        by_part = read_rankings_of_parts(predictions, CATEGORIES if name == "fashioniq" else TASKS)
        chosen, _ = entry.resolve(protocol, labels)
        benchmarks = (
            load_fashioniq(root, split, chosen, tuple(by_part))
            if name == "fashioniq"
            else load_genecis(root, split, tuple(by_part))
        )
        return [
            (each, check_gallery_lists(by_part[each.part], each, f"{predictions} ({each.part})"), None)
            for each in benchmarks
        ]
    [benchmark] = load_benchmark(name, root, split, protocol, labels)
    if predictions is not None and name != "cirr":
        match name:
            case "circo":
                lists = read_circo_rankings(predictions, benchmark)
            case "pinpoint":
                lists = read_pinpoint_rankings(predictions, benchmark)
            case _:
                lists = check_gallery_lists(read_ranking_file(predictions), benchmark, str(predictions))
        return [(benchmark, lists, None)]
    rankings = None if predictions is None else read_cirr_rankings(predictions, benchmark, "recall")
    subset_lists = (
        None if subset_predictions is None else read_cirr_rankings(subset_predictions, benchmark, "recall_subset")
    )
    return [(benchmark, rankings, subset_lists)]
