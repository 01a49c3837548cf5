"""Training and measuring one row of the demo's table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from likebut.data.folder import DataFolder, read_captions
from likebut.data.synthetic_triplets import read_synthetic
from likebut.data.triplets import Triplet
from likebut.errors import LikebutError
from likebut.evaluation.benchmarks.folder import load_folder
from likebut.evaluation.embedding import RetrieverAdapter, cached_tokens, needed_images
from likebut.evaluation.evaluator import RankedBenchmark, evaluate
from likebut.evaluation.report import EvaluationReport
from likebut.features.cache import FeatureCache, open_features
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.models.vision import VisionEncoder
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
    tokens, skipped = cached_tokens(retriever, needed_images(benchmarks), place.features)
    adapter = RetrieverAdapter(retriever, tokens)
    report, ranked = evaluate(
        benchmarks, adapter.embed_gallery, adapter.embed_queries, skipped, device=str(retriever.device)
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


POOL = "pool"
# A family's images lie close together; anything nearer than this is the same picture.
_WINDOW = PairSettings(neighbours=4, min_similarity=0.3, max_similarity=0.999)


def get_generator(settings: DemoSettings, place: Workplace, look_like: Retriever) -> ModificationGenerator:
    """Return the generator that writes: the published one, or one trained here on the labelled triplets.

    Args:
        settings: Says which.
        place: Where to train.
        look_like: The retriever whose query encoder a generator trained here starts from.

    Raises:
        MissingWeightsError: The published weights, or the preset's parts, are not on this machine.
    """
    if settings.generator is not None:
        return ModificationGenerator.from_pretrained(settings.generator)
    start = place.folder / "trainings" / "generator-start"
    look_like.save(start)
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
        place.data.triplets("train"), place.data.images(), captions=read_captions(place.data.path, "train")
    )
    return train_generator(recipe, data, place.folder / "trainings" / "generator", place.features).generator


def mine_pool(settings: DemoSettings, place: Workplace, generator: ModificationGenerator) -> list[MinedPair]:
    """Return pairs of similar images of the pool, at most ``settings.pairs``."""
    images = place.data.images()
    pool = [images[name] for name in place.data.gallery(POOL)]
    window = _WINDOW.model_copy(update={"limit": settings.pairs})
    return mine_images(pool, generator.vision, window, feature_folder=place.features).pairs


def write_triplets(
    pairs: Sequence[MinedPair],
    settings: DemoSettings,
    place: Workplace,
    generator: ModificationGenerator,
    checker: Retriever,
) -> tuple[Summary, list[Triplet]]:
    """Write about ``pairs`` in both directions, filter, and return the counts with the triplets that were kept.

    Args:
        pairs: Of pool images.
        settings: How to decode, and whether to make the round trip.
        place: Where to write.
        generator: Writes.
        checker: The retriever that makes the round trip.

    Raises:
        LikebutError: Too few texts were kept to train on.
    """
    out = place.folder / "synthetic"
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
        feature_folder=place.features,
    )
    summary = write_about_pairs(out, pairs, place.data.images(), job)
    triplets = read_synthetic(out)
    if len(triplets) < settings.batch_size:
        raise LikebutError(
            f"Of {summary.pairs} written pairs only {len(triplets)} texts were kept, fewer than a batch of "
            f"{settings.batch_size}.",
            "Train the generator longer, or write about more pairs.",
        )
    return summary, triplets
