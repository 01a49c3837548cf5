"""What commands that measure are pointed at: a data folder or a benchmark."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likebut.errors import InputError

if TYPE_CHECKING:
    from likebut.evaluation.benchmark import Benchmark


GalleryPath = Annotated[
    str,
    typer.Option("--gallery", envvar="LIKEBUT_GALLERY", help="The gallery's folder, or an object-store URI."),
]
DEFAULT_GALLERY = "likebut-gallery"


def measured_on(
    data: Path | None,
    benchmark: str | None,
    root: Path | None,
    split: str | None,
    protocol: str | None,
    labels: str | None,
    query_template: str | None = None,
) -> "list[Benchmark]":
    """Return the split of a data folder or of a benchmark that the options name.

    Raises:
        InputError: They name neither or both, or what they name is not there.
    """
    from likebut.evaluation.benchmarks.folder import load_folder
    from likebut.evaluation.benchmarks.loading import BENCHMARKS, load_benchmark
    from likebut.research.clothing.benchmark import CLOTHING

    if (data is None) == (benchmark is None):
        raise InputError(
            "Say what to evaluate on: one of --data and --benchmark.", "Add --data FOLDER, or --benchmark NAME."
        )
    if data is not None:
        if (protocol or labels or root or query_template) is not None:
            raise InputError(
                "A data folder has no --root, --protocol, --labels or --query-template.", "Leave them out."
            )
        return load_folder(data, split or "test")
    if root is None:
        raise InputError(f"Where {benchmark} lies was not said.", "Add --root with its folder.")
    entries = {**BENCHMARKS, CLOTHING.name: CLOTHING}
    return load_benchmark(benchmark or "", root, split, protocol, labels, entries, query_template)
