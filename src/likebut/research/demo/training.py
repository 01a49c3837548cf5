"""The steps of the demo: training and evaluating a row, preparing the generator, mining pairs, writing triplets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from likebut.data.folder import DataFolder, read_captions
from likebut.data.synthetic_triplets import read_synthetic
from likebut.data.triplets import Triplet
from likebut.errors import LikebutError
from likebut.evaluation.benchmarks.folder import load_folder
from likebut.evaluation.evaluator import CIREvaluator, RankedBenchmark
from likebut.evaluation.report import EvaluationReport
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.recipes.schema import (
    CaptionSettings,
    DataSettings,
    GeneratorRecipe,
    LossSettings,
    ModelSettings,
    RetrieverRecipe,
    TrainingSettings,
)
from likebut.research.demo.settings import DemoSettings, Row
from likebut.retriever.retriever import Retriever
from likebut.synthesis.filters import Blocklist, FilterSettings
from likebut.synthesis.jobs import Job, write_about_pairs
from likebut.synthesis.mining import MinedPair, PairSettings, mine_images
from likebut.synthesis.run import Summary, run_precision
from likebut.synthesis.writing import WritingSettings
from likebut.training.data import TrainingData
from likebut.training.train_generator import train_generator
from likebut.training.train_retriever import train_retriever

POOL = "pool"
# The images of a family are similar; images above the maximum are visually identical.
_WINDOW = PairSettings(neighbours=4, min_similarity=0.3, max_similarity=0.999)


@dataclass(frozen=True)
class DemoFolders:
    """The folders of the demo.

    Attributes:
        out: The output folder.
        data: The sample data.
        features: The folder of the feature caches.
    """

    out: Path
    data: DataFolder
    features: Path


def human_recipe(row: Row, settings: DemoSettings, seed: int, initial_weights: Path | None) -> RetrieverRecipe:
    """Return the recipe for training ``row`` on the labelled triplets, with the paper's losses."""
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
    """Return the recipe for pretraining on synthetic triplets: the contrastive loss of the composed query only."""
    return RetrieverRecipe(
        job="train-retriever",
        preset=settings.preset,
        seed=seed,
        model=ModelSettings(kind=row.kind),
        loss=LossSettings(alpha=0.0, lambda_text=0.0),
        training=_training(settings.synthetic_steps, settings.learning_rate, settings),
    )


def train_row(
    recipe: RetrieverRecipe, triplets: Sequence[Triplet], folders: DemoFolders, name: str
) -> tuple[Retriever, Path]:
    """Train in the folder ``name`` of the demo; returns the retriever and the folder.

    Raises:
        ResumeError: The folder contains a training with other settings.
    """
    out = folders.out / "trainings" / name
    run = train_retriever(recipe, TrainingData(triplets, folders.data.images()), out, folders.features)
    return run.retriever, out


def evaluate_row(retriever: Retriever, folders: DemoFolders) -> tuple[EvaluationReport, RankedBenchmark]:
    """Return the report and the rankings of a retriever on the sample's test split."""
    evaluator = CIREvaluator(load_folder(folders.data.path, "test"), feature_folder=folders.features)
    report, [ranked] = evaluator.evaluate(retriever)
    return report, ranked


def get_generator(settings: DemoSettings, folders: DemoFolders, initial_retriever: Retriever) -> ModificationGenerator:
    """Return the published generator, or one that is trained on the labelled triplets.

    Args:
        settings: The demo's settings.
        folders: The demo's folders.
        initial_retriever: A trained generator's query encoder is initialised from this retriever.

    Raises:
        MissingWeightsError: The published weights, or the preset's parts, are not on this machine.
    """
    if settings.generator is not None:
        return ModificationGenerator.from_pretrained(settings.generator)
    start = folders.out / "trainings" / "generator-start"
    initial_retriever.save(start)
    recipe = GeneratorRecipe(
        job="train-generator",
        preset=settings.preset,
        initial_retriever=str(start),
        captions=CaptionSettings(steps=settings.caption_steps, batch_size=32),
        data=DataSettings(both_directions=True),
        training=TrainingSettings(
            batch_size=16,
            steps=settings.caption_steps + settings.pair_steps,
            learning_rate=2e-4,
            gradient_clip=1.0,
            checkpoint_every=100,
        ),
    )
    data = TrainingData(
        folders.data.triplets("train"), folders.data.images(), captions=read_captions(folders.data.path, "train")
    )
    return train_generator(recipe, data, folders.out / "trainings" / "generator", folders.features).generator


def mine_pool(settings: DemoSettings, folders: DemoFolders, generator: ModificationGenerator) -> list[MinedPair]:
    """Return pairs of similar images of the pool, at most ``settings.pairs``."""
    images = folders.data.images()
    pool = [images[name] for name in folders.data.gallery(POOL)]
    window = _WINDOW.model_copy(update={"limit": settings.pairs})
    return mine_images(pool, generator.vision, window, feature_folder=folders.features).pairs


def write_triplets(
    pairs: Sequence[MinedPair],
    settings: DemoSettings,
    folders: DemoFolders,
    generator: ModificationGenerator,
    checker: Retriever,
) -> tuple[Summary, list[Triplet]]:
    """Write texts for ``pairs`` in both directions and filter them; returns the counts and the triplets kept.

    Args:
        pairs: Pairs of pool images.
        settings: The demo's settings.
        folders: The demo's folders.
        generator: The generator.
        checker: The retriever of the round-trip filter.

    Raises:
        LikebutError: Too few texts were kept to train on.
    """
    out = folders.out / "synthetic"
    decoding = Decoding.model_validate({"method": settings.decoding, "repetition_penalty": 1.0, "max_new_tokens": 32})
    writing = WritingSettings(
        decoding=decoding, batch_size=64, precision=run_precision(out, "auto", torch.device(generator.device))
    )
    job = Job(
        generator,
        checker if settings.round_trip else None,
        writing,
        FilterSettings(round_trip_rank=5 if settings.round_trip else None),
        Blocklist.load(),
        feature_folder=folders.features,
    )
    summary = write_about_pairs(out, pairs, folders.data.images(), job)
    triplets = read_synthetic(out)
    if len(triplets) < settings.batch_size:
        raise LikebutError(
            f"Of the texts for {summary.pairs} pairs only {len(triplets)} were kept, fewer than a batch of "
            f"{settings.batch_size}.",
            "Train the generator longer, or use more pairs.",
            code="too-few-triplets",
        )
    return summary, triplets


def _training(steps: int, learning_rate: float, settings: DemoSettings) -> TrainingSettings:
    return TrainingSettings(
        batch_size=settings.batch_size,
        steps=steps,
        learning_rate=learning_rate,
        gradient_clip=1.0,
        log_every=5,
        checkpoint_every=50,
    )
