"""A retriever's training from beginning to end: recipe and data in, model folder out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likebut.data.images import SkippedImage
from likebut.data.sampling import Batches
from likebut.features.cache import FeatureCache, open_features
from likebut.features.token_source import TokenSource
from likebut.models.attention import set_dropout
from likebut.models.model_folder import (
    find_model_folder,
    load_trained_state,
    read_model_folder,
    require_same_parts,
)
from likebut.models.preset import load_preset
from likebut.models.process_group import own_data_shard, this_process
from likebut.recipes.schema import LossSettings, RetrieverRecipe
from likebut.retriever.retriever import Retriever, RetrieverConfig
from likebut.training.batches import Curriculum, TripletBatches
from likebut.training.caption_batches import CaptionBatches, ImageTextBatches
from likebut.training.checkpoints import BEST_FILE, load_trained_weights
from likebut.training.data import (
    TrainingData,
    drop_unreadable,
    encode_views,
    explain_skipped_images,
    preset_identity,
    require_captions,
    token_source,
    weights_identity,
)
from likebut.training.loop import Evaluation, TrainingResult, claim, train
from likebut.training.tasks import RetrievalTask, RetrievalWeights
from likebut.training.view_sampler import PLAIN, ViewSampler, find_mined_hard_negatives

# Where a recipe found its data does not change what is learnt from it; the data's own fingerprint says what it was.
_NOT_IDENTITY = {"description", "training", "seed", "initial_weights", "data"}


@dataclass(frozen=True)
class RetrieverRun:
    """A finished training.

    Attributes:
        retriever: With the final weights, or the best where the recipe names a metric for that.
        folder: Where the model was saved.
        skipped: Images that could not be used; the triplets that name them were left out.
        triplets: How many triplets were learnt from.
    """

    retriever: Retriever
    folder: Path
    result: TrainingResult
    skipped: list[SkippedImage]
    triplets: int


def start_retriever(recipe: RetrieverRecipe) -> Retriever:
    """Return the retriever that ``recipe`` starts from.

    Raises:
        MissingWeightsError: The preset's parts or the initial weights are not on this machine.
        InputError: The initial weights are of another preset.
    """
    config = RetrieverConfig(
        kind=recipe.model.kind,
        preset=recipe.preset,
        pooling=recipe.model.pooling,
        text_only_loss=recipe.loss.lambda_text > 0,
    )
    retriever = Retriever.from_preset(recipe.preset, config, recipe.seed, this_process().device)
    if recipe.initial_weights is not None:
        folder = find_model_folder(recipe.initial_weights, "retriever")
        saved, state = read_model_folder(folder, "retriever")
        require_same_parts(load_preset(recipe.preset), saved.get("preset", ""), folder, "retriever")
        load_trained_state(retriever.module, state, folder)
    if recipe.model.dropout is not None:
        set_dropout(retriever.module, recipe.model.dropout)
    return retriever


def train_retriever(
    recipe: RetrieverRecipe,
    data: TrainingData,
    out: Path,
    feature_folder: Path | None = None,
    evaluate: Evaluation | None = None,
    retriever: Retriever | None = None,
    measured_on: str = "",
) -> RetrieverRun:
    """Train a retriever and save it in ``out/retriever``; ``out`` itself then counts as a model folder.

    Killed at any moment and called again with the same arguments, it ends with the same weights.

    Args:
        recipe: What to train, and how.
        data: What to learn from.
        out: Where checkpoints, figures and the model go.
        feature_folder: Where vision tokens are cached; in the user's cache folder if None.
        evaluate: Measures the retriever every ``training.evaluate_every`` steps.
        retriever: What :func:`start_retriever` gave, where ``evaluate`` needs it before training begins.
        measured_on: What ``evaluate`` measures on, in a word that differs when that differs; the best weights, where
            the recipe names a metric for them, depend on it.

    Raises:
        ResumeError: ``out`` holds a training with other settings or data.
        InputError: The data does not fill a batch, or lacks reverse texts or captions that the recipe needs.
    """
    require_captions(recipe.captions.steps, data)
    retriever = retriever or start_retriever(recipe)
    cache = open_features(retriever.vision, feature_folder)
    hard_negatives = recipe.data.hard_negatives > 0
    images = data.needed_images(hard_negatives)
    known, unusable = drop_unreadable(data, cache, images, hard_negatives)
    with explain_skipped_images(unusable):  # what is wrong with the triplets should be said before hours of encoding
        _batches(recipe, known, cache, retriever)
    identity = _identity(recipe, data, cache, measured_on)
    if this_process().is_main_process:
        claim(out, recipe.training, recipe.seed, identity)
    skipped = encode_views(cache, images, recipe.data.views, retriever.vision)
    usable = data.without(skipped, hard_negatives)
    retriever.vision.to("cpu")
    with explain_skipped_images(skipped):
        batches = _sampled_batches(recipe, usable, cache, retriever)
    task = RetrievalTask(retriever.module, _weights(recipe.loss))
    result = train(task, batches, recipe.training, out, recipe.seed, identity, evaluate, "training the retriever")
    _save(retriever, out, use_best=result.best_step is not None)
    retriever.vision.to(retriever.device)
    return RetrieverRun(retriever, out / "retriever", result, skipped, len(usable.triplets))


def _weights(loss: LossSettings) -> RetrievalWeights:
    return RetrievalWeights(loss.alpha, loss.lambda_text, loss.label_smoothing, loss.mask_false_negatives)


def _sampled_batches(recipe: RetrieverRecipe, data: TrainingData, cache: FeatureCache, retriever: Retriever) -> Batches:
    """Return the batches, now that there are tokens to find look-alikes by."""
    mined_hard_negatives = find_mined_hard_negatives(cache, data.names_in(cache), recipe.data.mined_hard_negatives)
    source = token_source(cache, data, recipe.data)
    return _batches(recipe, data, source, retriever, ViewSampler(recipe.data.views, mined_hard_negatives))


def _batches(
    recipe: RetrieverRecipe,
    data: TrainingData,
    source: TokenSource,
    retriever: Retriever,
    view_sampler: ViewSampler = PLAIN,
) -> Batches:
    triplets = TripletBatches(
        data.triplets,
        source,
        retriever.tokenizer,
        recipe.training.batch_size,
        recipe.seed,
        own_data_shard(),
        reverse=recipe.needs_reverse_texts,
        both_directions=recipe.data.both_directions,
        text_variants=data.text_variants,
        hard_negatives=recipe.data.hard_negatives,
        view_sampler=view_sampler,
    )
    if not recipe.captions.steps:
        return triplets
    count = recipe.captions.batch_size
    images = CaptionBatches(data.captions, source, count, recipe.seed, own_data_shard(), view_sampler=view_sampler)
    return Curriculum(ImageTextBatches(images, retriever.tokenizer), recipe.captions.steps, triplets)


def _identity(recipe: RetrieverRecipe, data: TrainingData, cache: FeatureCache, measured_on: str) -> dict[str, Any]:
    chosen_by = {} if recipe.training.best_metric is None else {"measured_on": measured_on}
    return {
        "recipe": recipe.model_dump(mode="json", exclude=_NOT_IDENTITY),
        "both_directions": recipe.data.both_directions,
        "hard_negatives": recipe.data.hard_negatives,
        "views": recipe.data.views,
        "mined_hard_negatives": recipe.data.mined_hard_negatives,
        "initial_weights": weights_identity(recipe.initial_weights, "retriever"),
        "vision": cache.identity.vision,
        "preprocessing": cache.identity.preprocessing,
        "data": data.fingerprint(cache),
        **preset_identity(recipe.preset),
        **chosen_by,
    }


def _save(retriever: Retriever, out: Path, use_best: bool) -> None:
    if use_best:
        load_trained_weights(retriever.module, out / BEST_FILE)
    retriever.module.eval()
    if this_process().is_main_process:
        retriever.save(out / "retriever")
