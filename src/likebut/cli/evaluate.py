"""``likebut evaluate``: a retriever measured on a benchmark or on a data folder."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likebut.cli.options import measured_on

if TYPE_CHECKING:
    from likebut.evaluation.evaluator import RankedBenchmark


_Benchmark = Annotated[
    str | None, typer.Option(help="cirr, fashioniq, circo, icir, pinpoint, genecis or clothing, instead of --data.")
]
_Protocol = Annotated[
    str | None,
    typer.Option(
        help="FashionIQ: original, original-without-reference, val-split. CIRCO: the first two. "
        "Clothing: pairs, attributes."
    ),
]
_Rankings = Annotated[
    Path | None, typer.Option(help="Also write the rankings, in the benchmark's own format, to this file.")
]
_AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Go on without the images that are missing.")]
_ListMissing = Annotated[bool, typer.Option("--list-missing", help="List the missing images as JSON, and stop.")]


def evaluate(
    data: Annotated[Path | None, typer.Option(help="A data folder.")] = None,
    benchmark: _Benchmark = None,
    root: Annotated[Path | None, typer.Option(help="The benchmark's folder.")] = None,
    split: Annotated[str | None, typer.Option(help="test for a data folder, val for a benchmark that has it.")] = None,
    model: Annotated[str, typer.Option(help="A trained retriever: a name or a folder.")] = "small",
    protocol: _Protocol = None,
    labels: Annotated[str | None, typer.Option(help="CIRR: hard, as published tables use, or soft.")] = None,
    query_template: Annotated[
        str | None, typer.Option(help="How queries are written, e.g. shared-concept for CIRCO; see docs/benchmarks.md.")
    ] = None,
    query_mode: Annotated[str, typer.Option(help="What of a query is used: composed, text or image.")] = "composed",
    rankings: _Rankings = None,
    allow_missing: _AllowMissing = False,
    list_missing: _ListMissing = False,
    cache: Annotated[bool, typer.Option(help="Keep vision tokens on disk for the next time.")] = True,
    features: Annotated[Path | None, typer.Option(help="Where vision tokens are cached.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images or queries embedded at once.")] = 32,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure a retriever on a benchmark or on a data folder."""
    benchmarks = measured_on(data, benchmark, root, split, protocol, labels, query_template)
    if list_missing:
        missing = {image.name: image.reason for each in benchmarks for image in each.missing_images()}
        print(json.dumps([{"image": name, "reason": reason} for name, reason in missing.items()], ensure_ascii=False))
        return
    from likebut.cli.output import print_report
    from likebut.evaluation.evaluator import CIREvaluator
    from likebut.files import require_output_file
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
        _write_rankings(ranked, rankings)
    print_report(report, as_json)


def _write_rankings(ranked: "list[RankedBenchmark]", path: Path) -> None:
    """Write the rankings of the gallery to ``path``, and CIRR's of the subsets beside it."""
    from likebut.evaluation.ranking_files import ranking_content, subset_ranking_content
    from likebut.files import write_json

    benchmarks = [each.benchmark for each in ranked]
    write_json(path, ranking_content(benchmarks, [each.rankings.gallery for each in ranked]))
    if benchmarks[0].name == "cirr":
        second = path.with_name(f"{path.stem}_subset{path.suffix}")
        write_json(second, subset_ranking_content(benchmarks[0], ranked[0].rankings.subset))


def score(
    benchmark: Annotated[str, typer.Argument(help="cirr, fashioniq, circo, icir, pinpoint or genecis.")],
    split: Annotated[str, typer.Argument(help="The split that was ranked: val, or test for icir, pinpoint, genecis.")],
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
    from likebut.cli.output import print_report
    from likebut.evaluation.score import score as score_files

    report = score_files(benchmark, root, split, predictions, subset_predictions, protocol, labels)
    print_report(report, as_json)
