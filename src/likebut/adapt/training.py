"""The retriever's training: captions of single images, then composed triplets, from the base."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from likebut.adapt.base import Base
from likebut.adapt.compose import Composer
from likebut.adapt.concepts import Concepts, Described, key_of
from likebut.adapt.settings import AdaptSettings, Plan
from likebut.data.folder import Caption
from likebut.data.triplets import ImageRef, Triplet
from likebut.features.cache import FeatureCache
from likebut.recipes.schema import (
    CaptionSettings,
    DataSettings,
    LossSettings,
    ModelSettings,
    RetrieverRecipe,
    TrainingSettings,
)
from likebut.training.data import TrainingData
from likebut.training.train_retriever import RetrieverRun, train_retriever
from likebut.training.view_sampler import find_mined_hard_negatives

_CAPTION_FRAMES = ("{}", "{}", "a photo of {}", "{} on display", "this is {}", "a {}", "some {}")
_NEIGHBOURS = 20
_LOOKED_THROUGH = 60


def captions_of(images: Sequence[Described]) -> list[Caption]:
    """Return the texts of each image for the captions stage."""
    found = []
    for each in images:
        texts = [frame.format(name.lower()) for name in each.names for frame in _CAPTION_FRAMES]
        texts += [*each.prose, *(f"{value} {each.names[0]}" for value in each.attributes.values() if each.names)]
        texts += [] if each.names else list(each.attributes.values())
        if texts:
            found.append(Caption(each.image, tuple(dict.fromkeys(texts))))
    return found


def compose_triplets(concepts: Concepts, cache: FeatureCache, count: int, seed: int) -> list[Triplet]:
    """Return composed triplets, many of them between images that look alike and are called otherwise."""
    names = [each.image for each in concepts.images]
    near = nearest_of_other_names(concepts, cache, names)
    return list(Composer(concepts, near, seed).write(count))


def nearest_of_other_names(concepts: Concepts, cache: FeatureCache, names: Sequence[str]) -> dict[str, list[str]]:
    """Return for each image those that look most like it and have another name."""
    around = find_mined_hard_negatives(cache, names, _LOOKED_THROUGH)

    def key(image: str) -> str:
        told = concepts.of(image).names
        return key_of(told[0]) if told else image

    keys = {name: key(name) for name in names}
    return {
        name: [other for other in others if keys[other] != keys[name]][:_NEIGHBOURS] for name, others in around.items()
    }


def train(
    concepts: Concepts,
    images: Mapping[str, ImageRef],
    cache: FeatureCache,
    base: Base,
    settings: AdaptSettings,
    plan: Plan,
    out: Path,
    features: Path | None,
) -> RetrieverRun | None:
    """Train in ``out``; None where the texts make too few triplets to learn from.

    Raises:
        ResumeError: ``out`` holds a training with other settings or data.
    """
    batch = min(settings.batch_size, max(2, len(concepts) // 2))
    triplets = compose_triplets(concepts, cache, (plan.steps + 1) * batch, settings.seed)
    if settings.alpha > 0:
        triplets = [each for each in triplets if each.reverse_modification]
    if len(triplets) < batch or len(concepts) < batch:
        return None
    captions = captions_of(concepts.images)
    recipe = recipe_of(base, settings, plan, batch, bool(captions))
    data = TrainingData(triplets, dict(images), captions=captions)
    return train_retriever(recipe, data, out, features)


def pretrain(
    triplets: Sequence[Triplet],
    images: Mapping[str, ImageRef],
    base: Base,
    settings: AdaptSettings,
    plan: Plan,
    out: Path,
    features: Path | None,
) -> bool:
    """Pretrain in ``out`` on written triplets, by the contrastive term of the composed query alone, as in the paper.

    Returns whether there were enough of them.
    """
    batch = min(settings.batch_size, len(triplets))
    if batch < max(2, settings.batch_size // 4):
        return False
    recipe = recipe_of(base, settings, plan, batch, with_captions=False)
    recipe = recipe.model_copy(update={"loss": LossSettings(alpha=0.0, lambda_text=0.0)})
    train_retriever(recipe, TrainingData(triplets, dict(images)), out, features)
    return True


def recipe_of(base: Base, settings: AdaptSettings, plan: Plan, batch_size: int, with_captions: bool) -> RetrieverRecipe:
    """Return the recipe of the retriever's training."""
    captions = plan.caption_steps if with_captions else 0
    return RetrieverRecipe(
        job="train-retriever",
        preset=base.preset,
        seed=settings.seed,
        initial_weights=base.weights,
        model=ModelSettings(kind=base.kind, pooling=base.pooling),
        data=DataSettings(views=settings.views, mined_hard_negatives=settings.mined_hard_negatives, resident=True),
        loss=LossSettings(alpha=settings.alpha, lambda_text=0.4),
        captions=CaptionSettings(steps=captions, batch_size=batch_size),
        training=TrainingSettings(
            batch_size=batch_size,
            steps=captions + plan.steps,
            learning_rate=settings.learning_rate,
            gradient_clip=1.0,
            precision=plan.precision,
            checkpoint_every=25,
            log_every=5,
        ),
    )
