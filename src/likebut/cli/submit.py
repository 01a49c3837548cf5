"""``likebut submit``: the files for a benchmark's test server."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from likebut.evaluation.benchmark import Benchmark


submit_app = typer.Typer(
    name="submit",
    help="Write the files for a benchmark's test server, checked against the server's limits.",
    no_args_is_help=True,
)

Root = Annotated[Path, typer.Option(help="The benchmark's folder.")]
Model = Annotated[str, typer.Option(help="A trained retriever: a name or a folder.")]
Out = Annotated[Path, typer.Option(help="The folder to write the files into.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Images or queries embedded at once.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")]
Cache = Annotated[bool, typer.Option(help="Keep vision tokens on disk for the next time.")]
Features = Annotated[Path | None, typer.Option(help="Where vision tokens are cached.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@submit_app.command("cirr")
def cirr(
    root: Root,
    model: Model,
    out: Out,
    split: Annotated[str, typer.Option(help="test1, or val to try the files with `likebut score`.")] = "test1",
    batch_size: BatchSize = 32,
    device: Device = None,
    cache: Cache = True,
    features: Features = None,
    as_json: AsJson = False,
) -> None:
    """Write CIRR's two files: the first 50 of the gallery, and the first 3 of each query's subset."""
    from likebut.evaluation.benchmarks.loading import load_benchmark

    _submit(load_benchmark("cirr", root, split), model, out, batch_size, device, cache, features, as_json)


@submit_app.command("circo")
def circo(
    root: Root,
    model: Model,
    out: Out,
    split: Annotated[str, typer.Option(help="test, or val to try the file with `likebut score`.")] = "test",
    protocol: Annotated[str | None, typer.Option(help="original or original-without-reference.")] = None,
    batch_size: BatchSize = 32,
    device: Device = None,
    cache: Cache = True,
    features: Features = None,
    as_json: AsJson = False,
) -> None:
    """Write CIRCO's file: the first 50 of the gallery for each query."""
    from likebut.evaluation.benchmarks.loading import load_benchmark

    _submit(load_benchmark("circo", root, split, protocol), model, out, batch_size, device, cache, features, as_json)


@submit_app.command("check")
def check(
    benchmark: Annotated[str, typer.Argument(help="cirr or circo.")],
    root: Root,
    predictions: Annotated[list[Path], typer.Option(help="A file to upload; give the option twice for CIRR's two.")],
    split: Annotated[str | None, typer.Option(help="test1 for CIRR, test for CIRCO.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check files that you have against the server's limits, without a model."""
    from likebut.evaluation.benchmarks.layout import require_choice
    from likebut.evaluation.benchmarks.loading import BENCHMARKS, load_benchmark
    from likebut.evaluation.submission import check_file

    default = {name: entry.test_split for name, entry in BENCHMARKS.items() if entry.test_split is not None}
    require_choice(benchmark, list(default), "benchmark with a test server")
    [loaded] = load_benchmark(benchmark, root, split or default[benchmark])
    for path in predictions:
        check_file(loaded, path)
    if as_json:
        print(json.dumps([{"file": str(path), "queries": len(loaded.queries)} for path in predictions]))
        return
    for path in predictions:
        print(f"{path} is in order: {len(loaded.queries)} queries of {loaded.title}.")


def _submit(
    benchmarks: "list[Benchmark]",
    model: str,
    out: Path,
    batch_size: int,
    device: str | None,
    cache: bool,
    features: Path | None,
    as_json: bool,
) -> None:
    from likebut.cli.output import skipped_lines
    from likebut.evaluation.evaluator import BenchmarkRanker
    from likebut.evaluation.submission import write_submission
    from likebut.files import require_output_folder
    from likebut.models.devices import require_device
    from likebut.retriever.retriever import Retriever

    require_output_folder(out, "the files")
    require_device(device)
    [benchmark] = benchmarks
    ranker = BenchmarkRanker(benchmarks, batch_size=batch_size, cache=cache, feature_folder=features)
    retriever = Retriever.from_pretrained(model, device)
    skipped = ranker.prepare(retriever)
    [ranked] = ranker.rank(retriever)
    files = write_submission(ranked, out)
    unusable = {image.name for image in skipped}
    unasked = sum(query.reference in unusable for query in benchmark.queries)
    if as_json:
        images = [image.to_json() for image in skipped]
        print(json.dumps({"files": list(map(str, files)), "unasked": unasked, "skipped": images}, ensure_ascii=False))
        return
    for path in files:
        print(f"Wrote {path}.")
    for line in skipped_lines(skipped, "the output of --json"):
        print(line)
    if unasked:
        print(f"{unasked} queries refer to one of them: their rankings are the gallery's order.")
