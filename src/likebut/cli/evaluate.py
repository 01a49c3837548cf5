"""``likebut evaluate`` and ``likebut score``: metrics of a retriever, or of a file of rankings."""

import json
from pathlib import Path
from typing import Annotated

import typer

from likebut.cli.options import (
    AllowMissing,
    AsJson,
    BatchSize,
    Cache,
    Device,
    FeatureFolder,
    RetrieverName,
    load_evaluation_data,
)

_PROTOCOLS = (
    "FashionIQ: original, original-without-reference or val-split. "
    "CIRCO: original or original-without-reference. Clothing: pairs or attributes."
)
_Protocol = Annotated[str | None, typer.Option(help=_PROTOCOLS)]
_Labels = Annotated[str | None, typer.Option(help="CIRR only: hard (as in published tables) or soft.")]


def evaluate(
    data: Annotated[Path | None, typer.Option(help="A data folder to evaluate on.")] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(help="A benchmark instead: cirr, fashioniq, circo, icir, pinpoint, genecis or clothing."),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="The benchmark's folder.")] = None,
    split: Annotated[str | None, typer.Option(help="Default: val for a benchmark that has it, otherwise test.")] = None,
    model: RetrieverName = "small",
    protocol: _Protocol = None,
    labels: _Labels = None,
    query_template: Annotated[
        str | None, typer.Option(help="How queries are written, e.g. shared-concept for CIRCO. See docs/benchmarks.md.")
    ] = None,
    query_mode: Annotated[str, typer.Option(help="What a query consists of: composed, text or image.")] = "composed",
    rankings: Annotated[
        Path | None, typer.Option(help="Also write the rankings to this file, in the benchmark's submission format.")
    ] = None,
    allow_missing: AllowMissing = False,
    list_missing: Annotated[
        bool, typer.Option("--list-missing", help="Print the missing images as JSON and exit.")
    ] = False,
    cache: Cache = True,
    features: FeatureFolder = None,
    batch_size: BatchSize = 32,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a retriever on a data folder or a benchmark."""
    benchmarks = load_evaluation_data(data, benchmark, root, split, protocol, labels, query_template)
    if list_missing:
        missing = {image.name: image.reason for each in benchmarks for image in each.missing_images()}
        print(json.dumps([{"image": name, "reason": reason} for name, reason in missing.items()], ensure_ascii=False))
        return
    from likebut.cli.output import print_report
    from likebut.evaluation.evaluator import CIREvaluator
    from likebut.evaluation.ranking_files import ranking_content, subset_ranking_content
    from likebut.files import require_output_file, write_json
    from likebut.models.devices import require_device
    from likebut.retriever.retriever import Retriever

    if rankings is not None:
        require_output_file(rankings)
    require_device(device)
    evaluator = CIREvaluator(
        benchmarks,
        query_mode=query_mode,
        batch_size=batch_size,
        cache=cache,
        feature_folder=features,
        allow_missing=allow_missing,
    )
    report, ranked = evaluator.evaluate(Retriever.from_pretrained(model, device))
    if rankings is not None:
        ranked_benchmarks = [each.benchmark for each in ranked]
        write_json(rankings, ranking_content(ranked_benchmarks, [each.rankings.gallery for each in ranked]))
        if ranked_benchmarks[0].name == "cirr":
            subset_file = rankings.with_name(f"{rankings.stem}_subset{rankings.suffix}")
            write_json(subset_file, subset_ranking_content(ranked_benchmarks[0], ranked[0].rankings.subset))
    print_report(report, as_json)


def score(
    benchmark: Annotated[str, typer.Argument(help="cirr, fashioniq, circo, icir, pinpoint or genecis.")],
    split: Annotated[
        str, typer.Argument(help="The split that was ranked: val, or test for icir, pinpoint and genecis.")
    ],
    root: Annotated[Path, typer.Option(help="The benchmark's folder. Its images are not needed.")],
    predictions: Annotated[
        Path | None, typer.Option(help="The gallery rankings, in the benchmark's submission format.")
    ] = None,
    subset_predictions: Annotated[
        Path | None, typer.Option(help="CIRR only: the second file, with the subset rankings.")
    ] = None,
    protocol: _Protocol = None,
    labels: _Labels = None,
    as_json: AsJson = False,
) -> None:
    """Compute the metrics of rankings in a file, without a model."""
    from likebut.cli.output import print_report
    from likebut.evaluation.score import score as score_files

    report = score_files(benchmark, root, split, predictions, subset_predictions, protocol, labels)
    print_report(report, as_json)
