"""Training and measuring one row of the demo's table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from likebut.benchmarks.adapter import RetrieverAdapter
from likebut.benchmarks.evaluation import RankedBenchmark, evaluate
from likebut.benchmarks.folder import load_folder
from likebut.benchmarks.preparation import cached_tokens, needed_images
from likebut.benchmarks.report import EvaluationReport
from likebut.data_folder import DataFolder
from likebut.demo.rows import Row
from likebut.demo.settings import DemoSettings
from likebut.recipes.schema import DataSettings, LossSettings, ModelSettings, RetrieverRecipe
from likebut.recipes.training import TrainingSettings
from likebut.retriever.retriever import Retriever
from likebut.training.data import TrainingData, open_features
from likebut.training.features import FeatureCache
from likebut.training.frozen_vision import VisionEncoder
from likebut.training.retriever_run import train_retriever
from likebut.triplets import Triplet


@dataclass(frozen=True)
class Workplace:
    """Where the demo works.

    Attributes:
        folder: Its output folder.
        data: The sample data.
        features: The cache of vision tokens.
    """

    folder: Path
    data: DataFolder
    features: Path


@dataclass(frozen=True)
class Measured:
    """A trained row, measured on the test split."""

    retriever: Retriever
    report: EvaluationReport
    ranked: RankedBenchmark
    curves: Mapping[str, Path]


def human_recipe(row: Row, settings: DemoSettings, seed: int, initial_weights: Path | None) -> RetrieverRecipe:
    """Return the recipe for training ``row`` on the labelled triplets (the paper's losses, with its α and λ)."""
    rate = settings.learning_rate if initial_weights is None else settings.pretrained_learning_rate
    return RetrieverRecipe(
        job="train-retriever",
        preset=settings.preset,
        seed=seed,
        initial_weights=None if initial_weights is None else str(initial_weights),
        model=ModelSettings(kind=row.kind),
        data=DataSettings(both_directions=True),
        training=_training(settings.human_steps, rate, settings),
    )


def synthetic_recipe(row: Row, settings: DemoSettings, seed: int) -> RetrieverRecipe:
    """Return the recipe for pretraining on written triplets: the contrastive term of the composed query alone."""
    return RetrieverRecipe(
        job="train-retriever",
        preset=settings.preset,
        seed=seed,
        model=ModelSettings(kind=row.kind),
        loss=LossSettings(alpha=0.0, lambda_text=0.0),
        training=_training(settings.synthetic_steps, settings.learning_rate, settings),
    )


def train_row(
    recipe: RetrieverRecipe, triplets: Sequence[Triplet], place: Workplace, name: str
) -> tuple[Retriever, Path]:
    """Train by ``recipe`` in the folder ``name`` of the demo; returns the retriever and the folder.

    Raises:
        ResumeError: The folder holds a training with other settings.
    """
    out = place.folder / "trainings" / name
    run = train_retriever(recipe, TrainingData(triplets, place.data.images()), out, place.features)
    return run.retriever, out


def known_tokens(vision: VisionEncoder, names: Iterable[str], place: Workplace) -> FeatureCache:
    """Return the demo's cache of vision tokens, knowing those of the images called ``names``."""
    features, images = open_features(vision, place.features), place.data.images()
    features.add(place.data.require(sorted(set(names)), images), vision)
    return features


def measure(retriever: Retriever, place: Workplace) -> tuple[EvaluationReport, RankedBenchmark]:
    """Return the retriever's figures on the sample's test split, and its rankings."""
    benchmarks = load_folder(place.data.path, "test")
    tokens, set_aside = cached_tokens(retriever, needed_images(benchmarks), place.features)
    adapter = RetrieverAdapter(retriever, tokens)
    report, ranked = evaluate(
        benchmarks, adapter.embed_gallery, adapter.embed_queries, set_aside, device=str(retriever.device)
    )
    return report, ranked[0]


def _training(steps: int, learning_rate: float, settings: DemoSettings) -> TrainingSettings:
    return TrainingSettings(
        batch_size=settings.batch_size,
        steps=steps,
        learning_rate=learning_rate,
        gradient_clip=1.0,
        log_every=5,
        checkpoint_every=50,
    )
