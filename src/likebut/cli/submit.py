"""``likebut submit``: write and check the files for a benchmark's test server."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likebut.cli.options import AsJson, BatchSize, Cache, Device, FeatureFolder, RetrieverName

if TYPE_CHECKING:
    from likebut.evaluation.benchmark import Benchmark


submit_app = typer.Typer(
    name="submit", help="Write the files for a benchmark's test server, within its limits.", no_args_is_help=True
)

_Root = Annotated[Path, typer.Option(help="The benchmark's folder.")]
_Out = Annotated[Path, typer.Option(help="The folder for the files.")]


@submit_app.command("cirr", epilog="Example: likebut submit cirr --root CIRR --model my-model --out upload")
def cirr(
    root: _Root,
    model: RetrieverName,
    out: _Out,
    split: Annotated[str, typer.Option(help="test1; or val, to check the files with `likebut score`.")] = "test1",
    batch_size: BatchSize = 32,
    device: Device = None,
    cache: Cache = True,
    features: FeatureFolder = None,
    as_json: AsJson = False,
) -> None:
    """Write CIRR's two files: the top 50 of the gallery and the top 3 of each query's subset."""
    from likebut.evaluation.benchmarks.loading import load_benchmark

    _submit(load_benchmark("cirr", root, split), model, out, batch_size, device, cache, features, as_json)


@submit_app.command("circo", epilog="Example: likebut submit circo --root CIRCO --model my-model --out upload")
def circo(
    root: _Root,
    model: RetrieverName,
    out: _Out,
    split: Annotated[str, typer.Option(help="test; or val, to check the file with `likebut score`.")] = "test",
    protocol: Annotated[str | None, typer.Option(help="original or original-without-reference.")] = None,
    batch_size: BatchSize = 32,
    device: Device = None,
    cache: Cache = True,
    features: FeatureFolder = None,
    as_json: AsJson = False,
) -> None:
    """Write CIRCO's file: the top 50 of the gallery for each query."""
    from likebut.evaluation.benchmarks.loading import load_benchmark

    _submit(load_benchmark("circo", root, split, protocol), model, out, batch_size, device, cache, features, as_json)


@submit_app.command(
    "check", epilog="Example: likebut submit check circo --root CIRCO --predictions upload/circo_test.json"
)
def check(
    benchmark: Annotated[str, typer.Argument(help="cirr or circo.")],
    root: _Root,
    predictions: Annotated[list[Path], typer.Option(help="A file to upload. Repeat the option for CIRR's two files.")],
    split: Annotated[str | None, typer.Option(help="Default: test1 for CIRR, test for CIRCO.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check existing files against the test server's limits, without a model."""
    from likebut.evaluation.benchmarks.layout import require_choice
    from likebut.evaluation.benchmarks.loading import BENCHMARKS, load_benchmark
    from likebut.evaluation.submission import check_file

    default_splits = {name: entry.test_split for name, entry in BENCHMARKS.items() if entry.test_split is not None}
    require_choice(benchmark, list(default_splits), "benchmark with a test server")
    [loaded] = load_benchmark(benchmark, root, split or default_splits[benchmark])
    for path in predictions:
        check_file(loaded, path)
    if as_json:
        print(json.dumps([{"file": str(path), "queries": len(loaded.queries)} for path in predictions]))
        return
    for path in predictions:
        print(f"{path} is valid: {len(loaded.queries)} queries of {loaded.title}.")


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
    unranked = sum(query.reference in unusable for query in benchmark.queries)
    if as_json:
        images = [image.to_json() for image in skipped]
        content = {"files": list(map(str, files)), "unasked": unranked, "skipped": images}
        print(json.dumps(content, ensure_ascii=False))
        return
    for path in files:
        print(f"Wrote {path}.")
    for line in skipped_lines(skipped):
        print(line)
    if unranked:
        print(f"{unranked} queries have a skipped reference image: their rankings are in the gallery's order.")
