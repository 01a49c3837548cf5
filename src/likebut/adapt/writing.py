"""The paper's way: the generator learns the collection's words, then writes about images that have none.

First words and captions of single images, then pairs whose difference the composed texts say; after that it names
images without text, and writes forward and reverse texts for mined pairs, which filters and a round trip judge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from likebut.adapt.base import Base
from likebut.adapt.concepts import Concepts, key_of
from likebut.adapt.naming import Named
from likebut.adapt.settings import AdaptSettings, Plan
from likebut.adapt.training import captions_of, compose_triplets
from likebut.data.folder import Caption
from likebut.data.synthetic_triplets import read_synthetic
from likebut.data.triplets import ImageRef, Triplet
from likebut.errors import InputError
from likebut.features.cache import FeatureCache
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.recipes.schema import CaptionSettings, DataSettings, GeneratorRecipe, TrainingSettings, WordSettings
from likebut.retriever.retriever import Retriever
from likebut.synthesis.filters import Blocklist, FilterSettings
from likebut.synthesis.jobs import Job, write_about_pairs
from likebut.synthesis.mining import PairSettings, mine_images
from likebut.synthesis.writing import WritingSettings
from likebut.training.data import TrainingData
from likebut.training.train_generator import train_generator

_CAPTION_BATCH, _PAIR_BATCH, _WORD_BATCH, _WORD_IMAGES = 32, 16, 64, 32
_WRITING_BATCH = 64
_WINDOW = PairSettings(neighbours=4, min_similarity=0.3, max_similarity=0.98)
# Of a text; a name has a few words.
_MOST_TOKENS = 20
_GREEDY = Decoding(method="greedy", repetition_penalty=1.0, max_new_tokens=_MOST_TOKENS)


def adapt_generator(
    known: Concepts,
    images: Mapping[str, ImageRef],
    cache: FeatureCache,
    base: Base,
    settings: AdaptSettings,
    plan: Plan,
    steps: tuple[int, int, int],
    out: Path,
    features: Path | None,
) -> ModificationGenerator | None:
    """Train the generator in ``out`` on what is known; None where that is too little.

    Args:
        known: Images with their texts.
        images: By name.
        cache: Of their tokens.
        base: Whose preset is the generator's too.
        settings: Of the run.
        plan: For the precision.
        steps: On words, on captions of single images, and on pairs.
        out: Where to train.
        features: Where vision tokens are cached.
    """
    words, captions, pairs = steps
    smallest = min(_CAPTION_BATCH, len(known))
    triplets = compose_triplets(known, cache, max(pairs, 1) * _PAIR_BATCH + words * _WORD_BATCH + 100, settings.seed)
    if smallest < 2 or len(triplets) < _PAIR_BATCH:
        return None
    recipe = GeneratorRecipe(
        job="train-generator",
        preset=base.preset,
        seed=settings.seed,
        initial_weights=settings.generator,
        projection_from_shared_words=settings.generator is None and base.preset == "small",
        words=WordSettings(steps=words, batch_size=min(_WORD_BATCH, len(triplets)), images=min(_WORD_IMAGES, smallest)),
        captions=CaptionSettings(steps=captions, batch_size=smallest),
        data=DataSettings(both_directions=True, resident=True),
        training=TrainingSettings(
            batch_size=_PAIR_BATCH,
            steps=words + captions + max(pairs, 1),
            learning_rate=settings.learning_rate,
            gradient_clip=1.0,
            precision=plan.precision,
            checkpoint_every=25,
            log_every=5,
        ),
    )
    # One way to say each name: how many ways there are no image can teach.
    plain = [Caption(each.image, tuple(name.lower() for name in each.names[:1])) for each in known.images if each.names]
    data = TrainingData(triplets, dict(images), captions=plain or captions_of(known.images))
    return train_generator(recipe, data, out, features).generator


def write_names(
    generator: ModificationGenerator, cache: FeatureCache, known: Concepts, images: Sequence[str]
) -> list[Named]:
    """Return the names that the generator writes for ``images``, those that the collection uses alone."""
    found = []
    for start in range(0, len(images), _WRITING_BATCH):
        part = images[start : start + _WRITING_BATCH]
        for image, text in zip(part, generator.caption_batch(cache.tokens(part), _GREEDY), strict=True):
            holders = known.named.get(key_of(text))
            if holders:
                found.append(Named(image, known.of(holders[0]).names[0], 1.0))
    return found


def generator_steps(plan: Plan) -> tuple[int, int, int]:
    """Return the steps on words, captions and pairs that go with a plan; one costs about as much as a retriever's."""
    return max(plan.steps // 2, 1), max(plan.steps // 2, 1), max(plan.steps // 4, 1)


def with_namesakes(triplets: Sequence[Triplet], known: Concepts) -> list[Triplet]:
    """Return written triplets with every image of the target's name among their targets: what fits one fits all."""
    told = {each.image for each in known.images if each.names}
    found = []
    for each in triplets:
        alike = known.named[key_of(known.of(each.target).names[0])] if each.target in told else ()
        others = [image for image in alike if image not in (each.reference, each.target)]
        found.append(replace(each, targets=(each.target, *others)))
    return found


def write_pairs(
    generator: ModificationGenerator,
    checker: Retriever | None,
    images: Mapping[str, ImageRef],
    plan: Plan,
    limit: int,
    out: Path,
    features: Path | None,
    seed: int,
) -> list[Triplet]:
    """Return triplets with what the generator wrote about mined pairs, both directions, that passed the filters.

    Killed at any moment and called again, it ends with the same triplets.

    Args:
        generator: Knows the collection's words.
        checker: Makes the round trip; None for none.
        images: Among which pairs are mined.
        plan: For the precision.
        limit: At most this many pairs.
        out: Where the shards go.
        features: Where vision tokens are cached.
        seed: Of the choice of pairs.
    """
    refs = list(images.values())
    try:
        window = _WINDOW.model_copy(update={"limit": limit, "seed": seed})
        pairs = mine_images(refs, generator.vision, window, feature_folder=features).pairs
    except InputError:
        return []
    writing = WritingSettings(decoding=_GREEDY, batch_size=_WRITING_BATCH, precision=plan.precision)
    job = Job(
        generator,
        checker,
        writing,
        FilterSettings(same_text_share=0.2, round_trip_rank=5 if checker else None),
        Blocklist.load(),
        feature_folder=features,
    )
    write_about_pairs(out, pairs, dict(images), job)
    return read_synthetic(out)
