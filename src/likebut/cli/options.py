"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likebut.errors import InputError

if TYPE_CHECKING:
    from likebut.evaluation.benchmark import Benchmark


DEFAULT_GALLERY = "likebut-gallery"

AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Continue without the images that are missing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, help="Images or queries per batch.")]
Cache = Annotated[bool, typer.Option(help="Store vision tokens on disk for later runs.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu or cuda. Default: the GPU if there is one.")]
FeatureFolder = Annotated[Path | None, typer.Option("--features", help="Folder of the vision-token cache.")]
GalleryPath = Annotated[
    str, typer.Option("--gallery", envvar="LIKEBUT_GALLERY", help="The gallery: a folder or an object-store URI.")
]
GalleryModel = Annotated[
    str | None, typer.Option("--model", help="A retriever. Default: the one the gallery was indexed with.")
]
GeneratorName = Annotated[
    str, typer.Option("--generator", help="A trained generator: a published name, a folder or a hub id.")
]
RetrieverName = Annotated[
    str, typer.Option("--model", help="A trained retriever: a published name, a folder, a hub id or dual:HUB_ID.")
]


def load_evaluation_data(
    data: Path | None,
    benchmark: str | None,
    root: Path | None,
    split: str | None,
    protocol: str | None = None,
    labels: str | None = None,
    query_template: str | None = None,
) -> "list[Benchmark]":
    """Load the split of a data folder or benchmark that the options of a command select.

    Raises:
        InputError: The options select neither or both, do not fit together, or the data is missing.
    """
    from likebut.evaluation.benchmarks.folder import load_folder
    from likebut.evaluation.benchmarks.loading import BENCHMARKS, load_benchmark
    from likebut.research.clothing.benchmark import CLOTHING

    if (data is None) == (benchmark is None):
        raise InputError(
            "Exactly one of --data and --benchmark is required.",
            "Add --data FOLDER, or --benchmark NAME --root FOLDER.",
            code="data-or-benchmark",
        )
    if data is not None:
        if (protocol or labels or root or query_template) is not None:
            raise InputError(
                "--root, --protocol, --labels and --query-template apply to benchmarks only.",
                "Omit them, or replace --data by --benchmark.",
                code="option-without-effect",
            )
        return load_folder(data, split or "test")
    if root is None:
        raise InputError(f"--benchmark {benchmark} requires --root.", "Add --root FOLDER.", code="root-required")
    entries = {**BENCHMARKS, CLOTHING.name: CLOTHING}
    return load_benchmark(benchmark or "", root, split, protocol, labels, entries, query_template)
