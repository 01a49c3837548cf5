"""The registry of benchmarks, and loading one by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks import circo, cirr, fashioniq, genecis, icir, pinpoint
from likebut.evaluation.benchmarks.layout import require_choice

ORIGINAL = "original"
HARD = "hard"

Loader = Callable[[Path, str, str, str], list[Benchmark]]
"""Root folder, split, protocol, labels → the benchmark, or its categories."""


@dataclass(frozen=True, slots=True)
class BenchmarkEntry:
    """One benchmark of the registry.

    Attributes:
        splits: Its splits.
        protocols: The variants of its rules; the first is the default.
        load: Loads one split.
        labels: The kinds of labels to score by; the first is the default.
        test_split: The split whose labels only a test server has; None if there is no server.
    """

    name: str
    splits: tuple[str, ...]
    protocols: tuple[str, ...]
    load: Loader
    labels: tuple[str, ...] = (HARD,)
    test_split: str | None = None

    @property
    def default_split(self) -> str:
        """The split to evaluate on: val where there is one."""
        return "val" if "val" in self.splits else self.splits[0]

    def resolve(self, protocol: str | None, labels: str | None) -> tuple[str, str]:
        """Return protocol and labels with the defaults filled in.

        Raises:
            InputError: The benchmark does not have one of them.
        """
        chosen = require_choice(protocol or self.protocols[0], self.protocols, f"protocol of {self.name}")
        kind = labels or self.labels[0]
        if kind not in self.labels and len(self.labels) == 1:
            raise InputError(
                f'{self.name} has no "{kind}" labels.', "Leave out --labels; only CIRR has soft ones.", code="no-labels"
            )
        return chosen, require_choice(kind, self.labels, f"kind of labels of {self.name}")


BENCHMARKS: Mapping[str, BenchmarkEntry] = {
    entry.name: entry
    for entry in (
        BenchmarkEntry(
            name="cirr",
            splits=cirr.SPLITS,
            protocols=cirr.PROTOCOLS,
            load=lambda root, split, _, labels: cirr.load_cirr(root, split, labels),
            labels=cirr.LABELS,
            test_split="test1",
        ),
        BenchmarkEntry(
            name="fashioniq",
            splits=fashioniq.SPLITS,
            protocols=fashioniq.PROTOCOLS,
            load=lambda root, split, protocol, _: fashioniq.load_fashioniq(root, split, protocol),
        ),
        BenchmarkEntry(
            name="circo",
            splits=circo.SPLITS,
            protocols=circo.PROTOCOLS,
            load=lambda root, split, protocol, _: circo.load_circo(root, split, protocol),
            test_split="test",
        ),
        BenchmarkEntry(
            name="icir",
            splits=icir.SPLITS,
            protocols=icir.PROTOCOLS,
            load=lambda root, split, *_: icir.load_icir(root, split),
        ),
        BenchmarkEntry(
            name="pinpoint",
            splits=pinpoint.SPLITS,
            protocols=pinpoint.PROTOCOLS,
            load=lambda root, split, *_: pinpoint.load_pinpoint(root, split),
        ),
        BenchmarkEntry(
            name="genecis",
            splits=genecis.SPLITS,
            protocols=genecis.PROTOCOLS,
            load=lambda root, split, *_: genecis.load_genecis(root, split),
        ),
    )
}


def find_benchmark(name: str, entries: Mapping[str, BenchmarkEntry] = BENCHMARKS) -> BenchmarkEntry:
    """Return the registry's entry for a benchmark.

    Raises:
        InputError: There is none; the message names the near miss.
    """
    return entries[require_choice(name, list(entries), "benchmark")]


def load_benchmark(
    name: str,
    root: Path,
    split: str | None = None,
    protocol: str | None = None,
    labels: str | None = None,
    entries: Mapping[str, BenchmarkEntry] = BENCHMARKS,
    query_template: str | None = None,
) -> list[Benchmark]:
    """Load a benchmark by name.

    Args:
        name: A key of ``entries``.
        root: Its folder.
        split: One of its splits; val, or else its only one, if None.
        protocol: One of its protocols; the authors' own if None.
        labels: "hard" or "soft", for CIRR; hard if None.
        entries: The registry; pass a larger one to add benchmarks of your own.
        query_template: A key of :data:`likebut.evaluation.query_templates.QUERY_TEMPLATES`; the authors' own if None.

    Returns:
        The benchmark, or its categories one by one.

    Raises:
        InputError: A choice is unknown or does not apply, or a file is missing or invalid.
    """
    entry = find_benchmark(name, entries)
    benchmarks = entry.load(root, split or entry.default_split, *entry.resolve(protocol, labels))
    return benchmarks if query_template is None else [each.with_query_template(query_template) for each in benchmarks]


def require_galleries(benchmarks: Sequence[Benchmark]) -> None:
    """Check that every gallery is known, which ranking needs and scoring does not.

    Raises:
        InputError: COCO's list of images is missing next to CIRCO's annotations.
    """
    for benchmark in benchmarks:
        if not benchmark.gallery:
            raise InputError(
                " ".join(benchmark.notes) or f"{benchmark.title} has no gallery.",
                "Add COCO's 2017 unlabeled image information.",
                code="unknown-gallery",
            )
