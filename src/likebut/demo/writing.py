"""The demo's written triplets: a generator, pairs of pool images, texts, filters."""

from collections.abc import Sequence

import torch

from likebut.demo.settings import DemoSettings
from likebut.demo.training import Workplace
from likebut.errors import LikebutError
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.recipes.schema import CaptionSettings, DataSettings, GeneratorRecipe
from likebut.recipes.training import TrainingSettings
from likebut.retriever.retriever import Retriever
from likebut.synthesis.blocklist import Blocklist
from likebut.synthesis.filters import FilterSettings
from likebut.synthesis.jobs import Job, write_about_pairs
from likebut.synthesis.mining import mine_images
from likebut.synthesis.pairs import MinedPair, PairSettings
from likebut.synthesis.run import Summary
from likebut.synthesis.shards import read_synthetic
from likebut.synthesis.write import WritingSettings
from likebut.training.captions import read_captions
from likebut.training.data import TrainingData
from likebut.training.generator_run import train_generator
from likebut.training.precision import resolve_precision
from likebut.triplets import Triplet

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
        decoding=decoding, batch_size=64, precision=resolve_precision("auto", torch.device(generator.device))
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
