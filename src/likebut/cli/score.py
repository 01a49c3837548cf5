"""``likebut score``: metrics of a ranking file, no model needed."""

from pathlib import Path
from typing import Annotated

import typer


def score(
    benchmark: Annotated[str, typer.Argument(help="cirr, fashioniq or circo.")],
    split: Annotated[str, typer.Argument(help="The split that was ranked: val, mostly.")],
    root: Annotated[Path, typer.Option(help="The benchmark's folder; its images are not needed.")],
    predictions: Annotated[
        Path | None, typer.Option(help="The ranking of the gallery, in the benchmark's own submission format.")
    ] = None,
    subset_predictions: Annotated[
        Path | None, typer.Option(help="CIRR's second file, with each query's subset.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="FashionIQ: original, original-without-reference, val-split. CIRCO: the first two."),
    ] = None,
    labels: Annotated[str | None, typer.Option(help="CIRR: hard, as published tables use, or soft.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure the rankings in a file, without a model."""
    from likebut.benchmarks.score import score as score_files
    from likebut.cli.report_table import print_report

    report = score_files(benchmark, root, split, predictions, subset_predictions, protocol, labels)
    print_report(report, as_json)
