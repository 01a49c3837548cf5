"""Running one training of the ablations: in its own folder, once, and resumable."""

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
from likebut.evaluation.embedding import needed_images, require_images
from likebut.evaluation.evaluator import CIREvaluator
from likebut.features.cache import FeatureCache, open_features
from likebut.files import fingerprint, read_json, write_json
from likebut.recipes.schema import DataSettings, LossSettings, ModelSettings, RetrieverRecipe, TrainingSettings
from likebut.research.ablations.data import AblationData
from likebut.research.ablations.plan import AblationFolders, AblationSettings, Training
from likebut.retriever.retriever import Retriever
from likebut.training.data import TrainingData
from likebut.training.run import preset_identity, weights_identity
from likebut.training.train_retriever import train_retriever

RESULT_NAME = "result.json"
_FORMAT = 1


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        metrics: In percent, on the split of the evaluation.
        triplets: Number of triplets of its own stage.
        seconds: Duration of training and evaluation since the last resume.
    """

    metrics: dict[str, float]
    triplets: int
    seconds: float


def recipe_of(training: Training, settings: AblationSettings, start: str | None) -> RetrieverRecipe:
    """Return the recipe of a training that is initialised with the weights ``start``."""
    return RetrieverRecipe(
        job="train-retriever",
        preset=settings.preset,
        seed=training.seed,
        initial_weights=start,
        model=ModelSettings(kind=training.kind),
        # Shards contain both directions as separate triplets.
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


class TrainingRuns:
    """Runs trainings below the output folder, or finds their results there.

    A training is done when its folder contains its result; the folder's name is a hash of everything that the result
    depends on.

    Args:
        folders: The folders of the ablations.
        settings: Their settings.
        data: Their training data.
    """

    def __init__(self, folders: AblationFolders, settings: AblationSettings, data: AblationData) -> None:
        self._folders, self._settings, self._data = folders, settings, data
        self._identities: dict[Training, str] = {}

    def result(self, training: Training) -> TrainingResult | None:
        """Return the result of a training if it is done, and if its weights exist where another may start from them."""
        folder = self.folder(training)
        path = folder / RESULT_NAME
        if not path.is_file() or (training.is_synthetic and not (folder / "retriever").is_dir()):
            return None
        row = read_json(path)
        return TrainingResult(row["metrics"], row["triplets"], row["seconds"])

    def run(self, training: Training) -> TrainingResult:
        """Run a training unless it is done, and return its result; the training that initialises it must be done.

        A lock lets several processes share one output folder.
        """
        with self._lock(training):
            return self._finish(training)

    def run_unless_locked(self, training: Training) -> TrainingResult | None:
        """Do as :meth:`run`, or return None if another process runs the training."""
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
        return self._folders.out / "runs" / f"{name}-{self._identity(training)}"

    @cached_property
    def benchmarks(self) -> list[Benchmark]:
        """The benchmark of the evaluation.

        Raises:
            InputError: The split does not exist, or images of it are missing.
        """
        benchmarks = load_folder(self._folders.data.path, self._settings.split)
        require_images(benchmarks)
        return benchmarks

    def _lock(self, training: Training) -> FileLock:
        folder = self.folder(training)
        folder.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(folder.with_name(folder.name + ".lock"))

    def _finish(self, training: Training) -> TrainingResult:
        folder = self.folder(training)
        result = self.result(training) or self._train(training, folder)
        # Keep only what is needed: dozens of models would fill the disk.
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        if not training.is_synthetic:
            shutil.rmtree(folder / "retriever", ignore_errors=True)
        return result

    def _train(self, training: Training, folder: Path) -> TrainingResult:
        started = time.monotonic()
        start = self._settings.init if training.start is None else str(self.folder(training.start))
        recipe = recipe_of(training, self._settings, start)
        run = train_retriever(recipe, self._data.of(training), folder, self._folders.features)
        evaluator = CIREvaluator(self.benchmarks, feature_folder=self._folders.features)
        report, _ = evaluator.evaluate(run.retriever)
        result = TrainingResult(dict(report.metrics), run.triplets, round(time.monotonic() - started, 1))
        write_json(folder / RESULT_NAME, {"training": asdict(training), **asdict(result)})
        return result

    def _identity(self, training: Training) -> str:
        if training not in self._identities:
            start = self._initial_weights if training.start is None else self._identity(training.start)
            recipe = recipe_of(training, self._settings, None).model_dump(mode="json", exclude={"description"})
            data = self._data_identity(self._data.of(training))
            about = {
                "format": _FORMAT,
                "recipe": recipe,
                "data": data,
                "start": start,
                "measured": self._evaluation_identity,
            }
            about |= preset_identity(self._settings.preset)
            self._identities[training] = fingerprint(about)
        return self._identities[training]

    def _data_identity(self, data: TrainingData) -> str:
        self._features.learn_names(data.needed_images())
        return data.fingerprint(self._features)

    @cached_property
    def _initial_weights(self) -> str:
        return weights_identity(self._settings.init, "retriever")

    @cached_property
    def _features(self) -> FeatureCache:
        return open_features(Retriever.from_preset(self._settings.preset).vision, self._folders.features)

    @cached_property
    def _evaluation_identity(self) -> dict[str, Any]:
        """Return what the metrics depend on besides the weights."""
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
