"""The demo: the paper's whole pipeline on the sample data, from pictures to a table.

Every stage leaves its result in the demo's folder and is skipped, or gone on with, when the same command runs again.
"""

import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import likebut
from likebut.data.folder import DataFolder
from likebut.data.triplets import Triplet
from likebut.evaluation.evaluator import RankedBenchmark
from likebut.models.model_folder import find_model_folder
from likebut.research.demo.panels import PANEL_RULE, draw_panels
from likebut.research.demo.settings import (
    OTHER_METHODS,
    PAPER,
    PRETRAINED_ONLY,
    PTHA_ALONE,
    SIMPLE_ROWS,
    DemoSettings,
    Row,
    table_rows,
)
from likebut.research.demo.training import (
    Workplace,
    get_generator,
    human_recipe,
    measure,
    mine_pool,
    synthetic_recipe,
    train_row,
    write_triplets,
)
from likebut.research.grounding import measure_truthfulness
from likebut.research.reports.contents import DemoContents, RowResult, SynthesisResult
from likebut.research.sample_data.sample import SampleSettings, make_sample
from likebut.retriever.retriever import Retriever

NEXT_STEP = (
    "`likebut index YOUR-PHOTOS && likebut search --image YOUR-PHOTOS/some.jpg --text 'in red'` "
    "searches your own pictures."
)
# Enough for a figure of whole percents.
_PAIRS_CHECKED = 200
# Trainings of one stage share a chart.
LABELLED_STAGE, WRITTEN_STAGE = "training on labelled triplets", "pretraining on written triplets"


@dataclass
class _Results:
    """What has come of the rows so far, by row name."""

    metrics: dict[str, list[Mapping[str, float]]] = field(default_factory=dict)
    intervals: dict[str, list[Mapping[str, tuple[float, float]]]] = field(default_factory=dict)
    curves: dict[str, dict[str, Path]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    sizes: tuple[int, int] = (0, 0)


class Demo:
    """One run of the demo.

    Args:
        folder: Where everything goes.
        settings: How large it is.
        say: Called with one line at the beginning of each stage.
    """

    def __init__(self, folder: Path, settings: DemoSettings, say: Callable[[str], None]) -> None:
        self.settings, self._say = settings, say
        self._folder = folder
        self._results = _Results()
        self._seconds: dict[str, float] = {}

    def run(self) -> DemoContents:
        """Do everything; returns what the report shows.

        Raises:
            MissingWeightsError: The preset's parts or the generator's weights are not on this machine.
            ResumeError: The folder holds a demo with other settings.
        """
        # Before any long work: a missing part should be said at once.
        Retriever.from_preset(self.settings.preset)
        if self.settings.generator is not None:
            find_model_folder(self.settings.generator, "generator")
        place = self._render()
        human = place.data.triplets("train")
        alone = self._seeds(PTHA_ALONE, human, place)
        generator, written, summary = self._write(place, alone)
        for row in self._other_rows():
            self._seeds(row, human, place)
        retriever, ranked = self._pretrained_rows(human, written, place)
        with self._stage("checking what was written against the truth"):
            grounding, samples = measure_truthfulness(generator, place, pairs=_PAIRS_CHECKED)
        return self._contents(
            place,
            panels=draw_panels(retriever, ranked, place),
            grounding=grounding,
            written=samples,
            synthesis=SynthesisResult(summary.pairs, summary.triplets, summary.reasons, summary.reverse_reasons),
        )

    def _render(self) -> Workplace:
        settings = self.settings
        sizes = SampleSettings(
            train_families=settings.train_families,
            val_families=settings.val_families,
            test_families=settings.test_families,
            pool_families=settings.pool_families,
        )
        with self._stage("rendering sample pictures"):
            make_sample(self._folder / "data", sizes)
        return Workplace(self._folder, DataFolder.open(self._folder / "data"), self._folder / "features")

    def _seeds(self, row: Row, human: list[Triplet], place: Workplace) -> Retriever:
        """Train and measure a row on the labelled triplets, once for each seed; returns the first seed's."""
        first: Retriever | None = None
        for seed in range(self.settings.seeds):
            with self._stage(f"training: {row.name}", row):
                recipe = human_recipe(row, self.settings, seed, None)
                retriever, out = train_row(recipe, human, place, f"{row.slug}-{seed}")
                self._record(row, retriever, place, {LABELLED_STAGE: out / "metrics.jsonl"})
            first = first or retriever
        assert first is not None
        return first

    def _write(self, place: Workplace, checker: Retriever) -> tuple[Any, list[Triplet], Any]:
        with self._stage("getting the generator"):
            generator = get_generator(self.settings, place, checker)
        with self._stage("mining pairs"):
            pairs = mine_pool(self.settings, place, generator)
        with self._stage("writing modification texts"):
            summary, triplets = write_triplets(pairs, self.settings, place, generator, checker)
        return generator, triplets, summary

    def _other_rows(self) -> list[Row]:
        return [*SIMPLE_ROWS, *(OTHER_METHODS if self.settings.all_rows else ())]

    def _pretrained_rows(
        self, human: list[Triplet], written: list[Triplet], place: Workplace
    ) -> tuple[Retriever, RankedBenchmark]:
        """Pretrain, measure, fine-tune, measure; returns the paper's retriever of seed 0 with its rankings."""
        first: tuple[Retriever, RankedBenchmark] | None = None
        for seed in range(self.settings.seeds):
            with self._stage(f"training: {PRETRAINED_ONLY.name}", PRETRAINED_ONLY):
                recipe = synthetic_recipe(PAPER, self.settings, seed)
                pretrained, out = train_row(recipe, written, place, f"{PRETRAINED_ONLY.slug}-{seed}")
                curves = {WRITTEN_STAGE: out / "metrics.jsonl"}
                self._record(PRETRAINED_ONLY, pretrained, place, curves)
            with self._stage(f"training: {PAPER.name}", PAPER):
                tuning = human_recipe(PAPER, self.settings, seed, out)
                retriever, tuned = train_row(tuning, human, place, f"{PAPER.slug}-{seed}")
                curves = {**curves, LABELLED_STAGE: tuned / "metrics.jsonl"}
                ranked = self._record(PAPER, retriever, place, curves)
            first = first or (retriever, ranked)
        assert first is not None
        return first

    def _record(self, row: Row, retriever: Retriever, place: Workplace, curves: Mapping[str, Path]) -> RankedBenchmark:
        report, ranked = measure(retriever, place)
        self._results.metrics.setdefault(row.name, []).append(report.metrics)
        self._results.intervals.setdefault(row.name, []).append(report.intervals)
        self._results.curves.setdefault(row.name, dict(curves))
        self._results.sizes = (sum(report.queries.values()), sum(report.gallery.values()))
        return ranked

    @contextmanager
    def _stage(self, name: str, row: Row | None = None) -> Iterator[None]:
        self._say(name)
        start = time.monotonic()
        yield
        seconds = time.monotonic() - start
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds
        if row is not None:
            self._results.seconds[row.name] = self._results.seconds.get(row.name, 0.0) + seconds

    def _contents(self, place: Workplace, **shown: Any) -> DemoContents:
        results = self._results
        return DemoContents(
            title="likebut demo",
            settings=self.settings.model_dump(),
            machine=_machine(),
            queries=results.sizes[0],
            gallery=results.sizes[1],
            rows=[
                RowResult(
                    name=row.name,
                    explanation=row.explanation,
                    metrics=results.metrics[row.name],
                    intervals=results.intervals[row.name],
                    curves=results.curves[row.name],
                    seconds=results.seconds[row.name],
                    is_paper=row is PAPER,
                )
                for row in table_rows(self.settings.all_rows)
            ],
            panel_rule=PANEL_RULE,
            seconds=self._seconds,
            peak_memory_mib=_peak_memory_mib(),
            next_step=NEXT_STEP,
            **shown,
        )


def _peak_memory_mib() -> float:
    # macOS counts in bytes, Linux in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _machine() -> dict[str, str]:
    return {
        "processor": platform.processor() or platform.machine(),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "likebut": likebut.__version__,
    }
