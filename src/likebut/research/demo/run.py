"""The demo: the paper's whole pipeline on the sample data, from drawings to a table.

Every stage stores its result in the demo's folder, so that the same command resumes an interrupted run.
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
from likebut.research.demo.panels import PANEL_RULE, sample_panels
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
    DemoFolders,
    evaluate_row,
    get_generator,
    human_recipe,
    mine_pool,
    synthetic_recipe,
    train_row,
    write_triplets,
)
from likebut.research.grounding import measure_generator
from likebut.research.reports.contents import DemoContents, RowResult, SynthesisResult
from likebut.research.sample_data.sample import SampleSettings, make_sample
from likebut.retriever.retriever import Retriever

NEXT_STEP = (
    "`likebut index YOUR-PHOTOS && likebut search --image YOUR-PHOTOS/some.jpg --text 'in red'` "
    "searches your own images."
)
# Enough for a precision of about one percent.
_GROUNDING_PAIRS = 200
# Trainings of one stage share a chart.
LABELLED_STAGE, SYNTHETIC_STAGE = "training on labelled triplets", "pretraining on synthetic triplets"


@dataclass
class _Results:
    """The results of the rows so far, by row name."""

    metrics: dict[str, list[Mapping[str, float]]] = field(default_factory=dict)
    intervals: dict[str, list[Mapping[str, tuple[float, float]]]] = field(default_factory=dict)
    curves: dict[str, dict[str, Path]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    sizes: tuple[int, int] = (0, 0)


class Demo:
    """One run of the demo.

    Args:
        folder: The output folder.
        settings: The demo's settings.
        on_stage: Called with a description at the start of each stage.
    """

    def __init__(self, folder: Path, settings: DemoSettings, on_stage: Callable[[str], None]) -> None:
        self.settings, self._on_stage = settings, on_stage
        self._folder = folder
        self._results = _Results()
        self._seconds: dict[str, float] = {}

    def run(self) -> DemoContents:
        """Run every stage; returns the contents of the report.

        Raises:
            MissingWeightsError: The preset's parts or the generator's weights are not on this machine.
            ResumeError: The folder contains a demo with other settings.
        """
        # Before any long work, so that missing weights are reported at once.
        Retriever.from_preset(self.settings.preset)
        if self.settings.generator is not None:
            find_model_folder(self.settings.generator, "generator")
        folders = self._render()
        human = folders.data.triplets("train")
        alone = self._train_seeds(PTHA_ALONE, human, folders)
        generator, written, summary = self._write(folders, alone)
        for row in (*SIMPLE_ROWS, *(OTHER_METHODS if self.settings.all_rows else ())):
            self._train_seeds(row, human, folders)
        retriever, ranked = self._pretrained_rows(human, written, folders)
        with self._stage("measuring the grounding of the written texts"):
            grounding, samples = measure_generator(generator, folders.data, folders.features, pairs=_GROUNDING_PAIRS)
        return self._contents(
            folders,
            panels=sample_panels(retriever, ranked, folders),
            grounding=grounding,
            written=samples,
            synthesis=SynthesisResult(summary.pairs, summary.triplets, summary.reasons, summary.reverse_reasons),
        )

    def _render(self) -> DemoFolders:
        settings = self.settings
        sizes = SampleSettings(
            train_families=settings.train_families,
            val_families=settings.val_families,
            test_families=settings.test_families,
            pool_families=settings.pool_families,
        )
        with self._stage("rendering sample drawings"):
            make_sample(self._folder / "data", sizes)
        return DemoFolders(self._folder, DataFolder.open(self._folder / "data"), self._folder / "features")

    def _train_seeds(self, row: Row, human: list[Triplet], folders: DemoFolders) -> Retriever:
        """Train a row on the labelled triplets and evaluate it, for each seed; returns the first seed's retriever."""
        first: Retriever | None = None
        for seed in range(self.settings.seeds):
            with self._stage(f"training: {row.name}", row):
                recipe = human_recipe(row, self.settings, seed, None)
                retriever, out = train_row(recipe, human, folders, f"{row.slug}-{seed}")
                self._record(row, retriever, folders, {LABELLED_STAGE: out / "metrics.jsonl"})
            first = first or retriever
        assert first is not None
        return first

    def _write(self, folders: DemoFolders, checker: Retriever) -> tuple[Any, list[Triplet], Any]:
        with self._stage("loading the generator"):
            generator = get_generator(self.settings, folders, checker)
        with self._stage("mining pairs"):
            pairs = mine_pool(self.settings, folders, generator)
        with self._stage("writing modification texts"):
            summary, triplets = write_triplets(pairs, self.settings, folders, generator, checker)
        return generator, triplets, summary

    def _pretrained_rows(
        self, human: list[Triplet], written: list[Triplet], folders: DemoFolders
    ) -> tuple[Retriever, RankedBenchmark]:
        """Pretrain, evaluate, fine-tune, evaluate; returns the paper's retriever of seed 0 with its rankings."""
        first: tuple[Retriever, RankedBenchmark] | None = None
        for seed in range(self.settings.seeds):
            with self._stage(f"training: {PRETRAINED_ONLY.name}", PRETRAINED_ONLY):
                recipe = synthetic_recipe(PAPER, self.settings, seed)
                pretrained, out = train_row(recipe, written, folders, f"{PRETRAINED_ONLY.slug}-{seed}")
                curves = {SYNTHETIC_STAGE: out / "metrics.jsonl"}
                self._record(PRETRAINED_ONLY, pretrained, folders, curves)
            with self._stage(f"training: {PAPER.name}", PAPER):
                tuning = human_recipe(PAPER, self.settings, seed, out)
                retriever, tuned = train_row(tuning, human, folders, f"{PAPER.slug}-{seed}")
                curves = {**curves, LABELLED_STAGE: tuned / "metrics.jsonl"}
                ranked = self._record(PAPER, retriever, folders, curves)
            first = first or (retriever, ranked)
        assert first is not None
        return first

    def _record(
        self, row: Row, retriever: Retriever, folders: DemoFolders, curves: Mapping[str, Path]
    ) -> RankedBenchmark:
        report, ranked = evaluate_row(retriever, folders)
        self._results.metrics.setdefault(row.name, []).append(report.metrics)
        self._results.intervals.setdefault(row.name, []).append(report.intervals)
        self._results.curves.setdefault(row.name, dict(curves))
        self._results.sizes = (sum(report.queries.values()), sum(report.gallery.values()))
        return ranked

    @contextmanager
    def _stage(self, name: str, row: Row | None = None) -> Iterator[None]:
        self._on_stage(name)
        start = time.monotonic()
        yield
        seconds = time.monotonic() - start
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds
        if row is not None:
            self._results.seconds[row.name] = self._results.seconds.get(row.name, 0.0) + seconds

    def _contents(self, folders: DemoFolders, **shown: Any) -> DemoContents:
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
    # macOS reports bytes, Linux KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _machine() -> dict[str, str]:
    return {
        "processor": platform.processor() or platform.machine(),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "likebut": likebut.__version__,
    }
