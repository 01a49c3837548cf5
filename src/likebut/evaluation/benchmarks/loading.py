"""Which benchmarks there are, and loading one by its name."""

from collections.abc import Sequence
from pathlib import Path

from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks import circo, cirr, fashioniq
from likebut.evaluation.benchmarks.circo import load_circo
from likebut.evaluation.benchmarks.cirr import load_cirr
from likebut.evaluation.benchmarks.fashioniq import CATEGORIES, load_fashioniq
from likebut.evaluation.benchmarks.layout import require_choice

NAMES = ("cirr", "fashioniq", "circo")
_PROTOCOLS = {
    "cirr": cirr.PROTOCOLS,
    "fashioniq": fashioniq.PROTOCOLS,
    "circo": circo.PROTOCOLS,
}


def load_benchmark(
    name: str,
    root: Path,
    split: str,
    protocol: str | None = None,
    labels: str | None = None,
    categories: tuple[str, ...] = CATEGORIES,
) -> list[Benchmark]:
    """Load a benchmark by name.

    Args:
        name: One of :data:`NAMES`.
        root: Its folder.
        split: One of the benchmark's splits.
        protocol: One of the benchmark's protocols; the authors' own if None.
        labels: "hard" or "soft", for CIRR; hard if None.
        categories: Which of FashionIQ's categories to load.

    Returns:
        The benchmark, or its categories one by one.

    Raises:
        InputError: A choice is unknown or does not apply, or a file is missing or wrong.
    """
    require_choice(name, NAMES, "benchmark")
    chosen = require_choice(protocol or "original", _PROTOCOLS[name], f"protocol of {name}")
    if name == "cirr":
        return load_cirr(root, split, labels or "hard")
    if labels not in (None, "hard"):
        raise InputError(f'{name} has no "{labels}" labels.', "Leave out --labels; only CIRR has soft ones.")
    if name == "fashioniq":
        return load_fashioniq(root, split, chosen, categories)
    return load_circo(root, split, chosen)


def require_galleries(benchmarks: Sequence[Benchmark]) -> None:
    """Check that every gallery is known, which ranking needs and scoring does not.

    Raises:
        InputError: COCO's list of images is missing beside CIRCO's annotations.
    """
    for benchmark in benchmarks:
        if not benchmark.gallery:
            raise InputError(
                " ".join(benchmark.notes) or f"{benchmark.title} has no gallery.",
                "Put COCO's 2017 unlabeled image information there.",
            )
