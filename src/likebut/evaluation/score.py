"""Scoring a ranking file, without a model."""

from pathlib import Path

from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.layout import require_choice
from likebut.evaluation.benchmarks.loading import NAMES, load_benchmark
from likebut.evaluation.metrics import measure, outcome_of_lists
from likebut.evaluation.ranking_files import (
    Lists,
    checked_gallery_lists,
    read_circo_rankings,
    read_cirr_rankings,
    read_fashioniq_rankings,
)
from likebut.evaluation.report import EvaluationReport, build_report

SCORED = ("cirr", "fashioniq", "circo")


def score(
    name: str,
    root: Path,
    split: str,
    predictions: Path | None,
    subset_predictions: Path | None = None,
    protocol: str | None = None,
    labels: str | None = None,
) -> EvaluationReport:
    """Measure the rankings in a file.

    Args:
        name: "cirr", "fashioniq" or "circo".
        root: The benchmark's folder; its images are not needed.
        split: One of the benchmark's splits.
        predictions: The ranking of the gallery, in the benchmark's own submission format.
        subset_predictions: CIRR's second file; with it alone, only Recall_subset@K is measured.
        protocol: One of the benchmark's protocols; the authors' own if None.
        labels: "hard" or "soft", for CIRR; hard if None.

    Raises:
        InputError: The file is wrong, or the split's labels are hidden.
    """
    loaded = read_predictions(name, root, split, predictions, subset_predictions, protocol, labels)
    parts = []
    for benchmark, lists, subset_lists in loaded:
        if benchmark.labels == "hidden":
            raise _hidden(benchmark)
        nothing: list[None] = [None] * len(benchmark.queries)
        rows = zip(benchmark.queries, lists or nothing, subset_lists or nothing, strict=True)
        parts.append((benchmark, measure(benchmark, [outcome_of_lists(benchmark, *row) for row in rows])))
    return build_report(parts)


def _hidden(benchmark: Benchmark) -> InputError:
    return InputError(
        f"The files are in order, but the labels of {benchmark.title} are hidden, so nothing can be measured here.",
        "Upload them to the benchmark's test server (`likebut submit` writes such files), or use the split val.",
    )


def read_predictions(
    name: str,
    root: Path,
    split: str,
    predictions: Path | None,
    subset_predictions: Path | None = None,
    protocol: str | None = None,
    labels: str | None = None,
) -> list[tuple[Benchmark, Lists | None, Lists | None]]:
    """Read and check ranking files; arguments and errors as for :func:`score`.

    Returns:
        Each part of the benchmark with its rankings of the gallery and of the subsets, where there are any.
    """
    require_choice(name, NAMES, "benchmark")
    if name not in SCORED:
        raise InputError(
            f"Nothing says how a file of rankings of {name} is laid out.",
            f"Measure a model with `likebut evaluate --benchmark {name}`; what can be scored: {', '.join(SCORED)}.",
        )
    if subset_predictions is not None and name != "cirr":
        raise InputError(f"{name} has no subsets to rank.", "Leave out --subset-predictions; it is CIRR's.")
    if predictions is None and subset_predictions is None:
        raise InputError("No ranking file was given.", "Give one with --predictions.")
    if name == "fashioniq" and predictions is not None:
        by_category = read_fashioniq_rankings(predictions)
        benchmarks = load_benchmark(name, root, split, protocol, labels, tuple(by_category))
        return [
            (each, checked_gallery_lists(by_category[each.part], each, f"{predictions} ({each.part})"), None)
            for each in benchmarks
        ]
    [benchmark] = load_benchmark(name, root, split, protocol, labels)
    if name == "circo" and predictions is not None:
        return [(benchmark, read_circo_rankings(predictions, benchmark), None)]
    lists = None if predictions is None else read_cirr_rankings(predictions, benchmark, "recall")
    subset_lists = (
        None if subset_predictions is None else read_cirr_rankings(subset_predictions, benchmark, "recall_subset")
    )
    return [(benchmark, lists, subset_lists)]
