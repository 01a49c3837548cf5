"""Doing one training of the ablations: in a folder of its own, once, whatever interrupts it."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.folder import load_folder
from likebut.evaluation.embedding import RetrieverAdapter, cached_tokens, needed_images, require_images
from likebut.evaluation.evaluator import evaluate
from likebut.features.cache import FeatureCache, open_features
from likebut.files import fingerprint, read_json, write_json
from likebut.recipes.schema import DataSettings, LossSettings, ModelSettings, RetrieverRecipe, TrainingSettings
from likebut.research.ablations.material import Material
from likebut.research.ablations.plan import AblationSettings, Place, Training
from likebut.retriever.retriever import Retriever
from likebut.training.data import TrainingData
from likebut.training.run import preset_identity, weights_identity
from likebut.training.train_retriever import train_retriever

RESULT_NAME = "result.json"
_FORMAT = 1


@dataclass(frozen=True)
class Result:
    """What a training came to.

    Attributes:
        metrics: In percent, on the measured split.
        triplets: How many it learnt from, those of its own stage alone.
        seconds: How long training and measuring took, from where it was last begun.
    """

    metrics: dict[str, float]
    triplets: int
    seconds: float


def recipe_of(training: Training, settings: AblationSettings, start: str | None) -> RetrieverRecipe:
    """Return the recipe of a training that starts from the weights called ``start``."""
    return RetrieverRecipe(
        job="train-retriever",
        preset=settings.preset,
        seed=training.seed,
        initial_weights=start,
        model=ModelSettings(kind=training.kind),
        # Shards hold both directions as triplets of their own.
        data=DataSettings(both_directions=not training.is_synthetic),
        loss=LossSettings(alpha=training.alpha, lambda_text=training.lambda_text),
        training=TrainingSettings(
            batch_size=settings.batch_size,
            steps=training.steps,
            learning_rate=training.learning_rate,
            gradient_clip=1.0,
            checkpoint_every=200,
            keep_checkpoints=1,
        ),
    )


class Runs:
    """Does trainings below a folder, or finds them done there.

    A training is done when its result is in its folder; the folder is named after everything the result depends on.

    Args:
        place: Where the data is, and where to work.
        settings: How to train.
        material: What to learn from.
    """

    def __init__(self, place: Place, settings: AblationSettings, material: Material) -> None:
        self._place, self._settings, self._material = place, settings, material
        self._known: dict[Training, str] = {}

    def result(self, training: Training) -> Result | None:
        """Return what a training came to if it is done, and if what may start from it finds its weights."""
        folder = self.folder(training)
        path = folder / RESULT_NAME
        if not path.is_file() or (training.is_synthetic and not (folder / "retriever").is_dir()):
            return None
        row = read_json(path)
        return Result(row["metrics"], row["triplets"], row["seconds"])

    def do(self, training: Training) -> Result:
        """Return what a training came to, doing it if it is not done; what it starts from must be done.

        Two processes may work in one folder: each training is one process's.
        """
        with self._lock(training):
            return self._finish(training)

    def do_unless_taken(self, training: Training) -> Result | None:
        """Return what a training came to as :meth:`do` does, or None if another process is at it."""
        lock = self._lock(training)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        try:
            return self._finish(training)
        finally:
            lock.release()

    def folder(self, training: Training) -> Path:
        """Return the folder of a training."""
        name = f"{training.texts}-{training.amount:g}-{training.kind}-seed-{training.seed}"
        return self._place.out / "runs" / f"{name}-{self._identity(training)}"

    @cached_property
    def benchmarks(self) -> list[Benchmark]:
        """What is measured on.

        Raises:
            InputError: The split is not there, or images of it are missing.
        """
        found = load_folder(self._place.data.path, self._settings.split)
        require_images(found)
        return found

    def _lock(self, training: Training) -> FileLock:
        folder = self.folder(training)
        folder.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(folder.with_name(folder.name + ".lock"))

    def _finish(self, training: Training) -> Result:
        folder = self.folder(training)
        result = self.result(training) or self._train(training, folder)
        _tidy(folder, training)
        return result

    def _train(self, training: Training, folder: Path) -> Result:
        begun = time.monotonic()
        start = self._settings.init if training.start is None else str(self.folder(training.start))
        recipe = recipe_of(training, self._settings, start)
        run = train_retriever(recipe, self._material.of(training), folder, self._place.features)
        metrics = self._measure(run.retriever)
        result = Result(metrics, run.triplets, round(time.monotonic() - begun, 1))
        write_json(folder / RESULT_NAME, {"training": asdict(training), **asdict(result)})
        return result

    def _measure(self, retriever: Retriever) -> dict[str, float]:
        tokens, skipped = cached_tokens(retriever, needed_images(self.benchmarks), self._place.features)
        adapter = RetrieverAdapter(retriever, tokens)
        report, _ = evaluate(
            self.benchmarks, adapter.embed_gallery, adapter.embed_queries, skipped, device=str(retriever.device)
        )
        return dict(report.metrics)

    def _identity(self, training: Training) -> str:
        if training not in self._known:
            start = self._first_start if training.start is None else self._identity(training.start)
            recipe = recipe_of(training, self._settings, None).model_dump(mode="json", exclude={"description"})
            data = self._data_identity(self._material.of(training))
            about = {"format": _FORMAT, "recipe": recipe, "data": data, "start": start, "measured": self._measured}
            about |= preset_identity(self._settings.preset)
            self._known[training] = fingerprint(about)
        return self._known[training]

    def _data_identity(self, data: TrainingData) -> str:
        self._features.learn_names(data.needed_images())
        return data.fingerprint(self._features)

    @cached_property
    def _first_start(self) -> str:
        return weights_identity(self._settings.init, "retriever")

    @cached_property
    def _features(self) -> FeatureCache:
        return open_features(Retriever.from_preset(self._settings.preset).vision, self._place.features)

    @cached_property
    def _measured(self) -> dict[str, Any]:
        """Return what the figures depend on besides the weights."""
        images = needed_images(self.benchmarks)
        self._features.learn_names(images)
        return {
            "vision": asdict(self._features.identity),
            "queries": [asdict(query) for benchmark in self.benchmarks for query in benchmark.queries],
            "gallery": [name for benchmark in self.benchmarks for name in benchmark.gallery],
            "contents": _contents(self._features, [image.name for image in images]),
        }


def _contents(features: FeatureCache, names: Sequence[str]) -> list[str]:
    return [features.content(name) if features.knows(name) else name for name in names]


def _tidy(folder: Path, training: Training) -> None:
    """Remove what is of no use once a training is done: dozens of models would fill the disk."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    if not training.is_synthetic:
        shutil.rmtree(folder / "retriever", ignore_errors=True)
