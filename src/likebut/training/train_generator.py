"""A generator's training from beginning to end: recipe and data in, model folder out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from likebut.data.images import SkippedImage
from likebut.data.sampling import Batches
from likebut.errors import InputError
from likebut.features.cache import FeatureCache, open_features
from likebut.features.token_source import TokenSource
from likebut.generator.generator import GeneratorConfig, ModificationGenerator
from likebut.generator.initialisation import start_from_retriever, start_projection_from_shared_words
from likebut.models.devices import ResolvedPrecision
from likebut.models.loading import load_tokenizer
from likebut.models.model_folder import (
    find_model_folder,
    load_trained_state,
    read_model_folder,
    require_same_parts,
)
from likebut.models.preset import load_preset
from likebut.models.process_group import own_data_shard, this_process
from likebut.models.query_encoder import QueryEncoder
from likebut.models.tokenizers import WordPieceTokenizer
from likebut.recipes.schema import GeneratorRecipe
from likebut.retriever.retriever import Retriever
from likebut.settings import parse_settings
from likebut.training.batches import Curriculum, PairBatches
from likebut.training.caption_batches import CaptionBatches, WordBatches
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
from likebut.training.loop import TrainingResult, claim, run_precision, train
from likebut.training.tasks import GeneratorTask
from likebut.training.view_sampler import ViewSampler

_NOT_IDENTITY = {"description", "training", "seed", "initial_weights", "initial_retriever", "data", "default_decoding"}


@dataclass(frozen=True)
class GeneratorRun:
    """A finished training.

    Attributes:
        generator: With the final weights.
        folder: Where the model was saved.
        skipped: Images that could not be used; the pairs that name them were left out.
        triplets: How many triplets were learnt from.
    """

    generator: ModificationGenerator
    folder: Path
    result: TrainingResult
    skipped: list[SkippedImage]
    triplets: int


def start_generator(recipe: GeneratorRecipe) -> ModificationGenerator:
    """Return the generator that ``recipe`` starts from.

    Raises:
        MissingWeightsError: The preset's parts or the initial weights are not on this machine.
        InputError: The initial weights are of another preset, or otherwise made than the recipe says.
    """
    said = recipe.model_dump(include={"instruction", "image_type_embeddings", "default_decoding"}, exclude_none=True)
    if recipe.initial_weights is not None:
        return _trained_before(recipe, recipe.initial_weights, said)
    config = GeneratorConfig(preset=recipe.preset, **said)
    generator = ModificationGenerator.from_preset(recipe.preset, config, recipe.seed, this_process().device)
    if recipe.initial_retriever is not None:
        retriever = Retriever.from_pretrained(recipe.initial_retriever, device=generator.device)
        own, others = load_preset(recipe.preset), retriever.config.preset
        require_same_parts(own, others, Path(recipe.initial_retriever), "retriever")
        query_encoder = retriever.module.get_submodule("core.query_encoder")
        assert isinstance(query_encoder, QueryEncoder)
        start_from_retriever(generator.model, query_encoder)
    tokenizer = load_tokenizer(load_preset(recipe.preset))
    if recipe.projection_from_shared_words and isinstance(tokenizer, WordPieceTokenizer):
        start_projection_from_shared_words(generator.model, tokenizer.vocabulary)
    return generator


def _trained_before(recipe: GeneratorRecipe, name: str, said: dict[str, Any]) -> ModificationGenerator:
    """Return the generator called ``name``, as it was trained but for what the recipe has ``said``."""
    folder = find_model_folder(name, "generator")
    raw, state = read_model_folder(folder, "generator")
    saved = parse_settings(GeneratorConfig, raw, str(folder / "config.json"))
    require_same_parts(load_preset(recipe.preset), saved.preset, folder, "generator")
    if said.get("image_type_embeddings", saved.image_type_embeddings) != saved.image_type_embeddings:
        raise InputError(
            f"{folder} was trained {'with' if saved.image_type_embeddings else 'without'} image-type embeddings, "
            f"and the recipe says "
            f"image_type_embeddings: {str(recipe.image_type_embeddings).lower()}.",
            "Add --set image_type_embeddings=null.",
        )
    config = saved.model_copy(update={"weights_sha256": "", **said})
    generator = ModificationGenerator.from_preset(recipe.preset, config, recipe.seed, this_process().device)
    load_trained_state(generator.model, state, folder)
    return generator


def train_generator(
    recipe: GeneratorRecipe,
    data: TrainingData,
    out: Path,
    feature_folder: Path | None = None,
) -> GeneratorRun:
    """Train a generator and save it in ``out/generator``; ``out`` itself then counts as a model folder.

    Killed at any moment and called again with the same arguments, it ends with the same weights.

    Args:
        recipe: What to train, and how.
        data: What to learn from; with captions if the recipe has a first stage.
        out: Where checkpoints, figures and the model go.
        feature_folder: Where vision tokens are cached; in the user's cache folder if None.

    Raises:
        ResumeError: ``out`` holds a training with other settings or data.
        InputError: The data does not fill a batch, or lacks captions that the recipe needs.
    """
    require_captions(recipe.stage_steps, data)
    generator = start_generator(recipe)
    cache = open_features(generator.vision, feature_folder)
    images = data.needed_images()
    known, unusable = drop_unreadable(data, cache, images)
    with explain_skipped_images(unusable):  # what is wrong with the data should be said before hours of encoding
        _batches(recipe, known, cache)
    identity = _identity(recipe, data, cache, generator.config)
    if this_process().is_main_process:
        claim(out, recipe.training, recipe.seed, identity)
    skipped = encode_views(cache, images, recipe.data.views, generator.vision)
    usable = data.without(skipped)
    generator.vision.to("cpu")
    _prepare_language(generator, run_precision(out, recipe.training))
    with explain_skipped_images(skipped):
        batches = _batches(recipe, usable, token_source(cache, usable, recipe.data))
    task = GeneratorTask(generator.model, recipe.words.dropout)
    result = train(task, batches, recipe.training, out, recipe.seed, identity, label="training the generator")
    _save(generator, out)
    generator.vision.to(generator.device)
    return GeneratorRun(generator, out / "generator", result, skipped, len(usable.triplets))


def _batches(recipe: GeneratorRecipe, data: TrainingData, source: TokenSource) -> Batches:
    """Return the stages one after the other: words, captions, pairs."""
    stages: Batches = _pairs(recipe, data, source, recipe.training.batch_size, "training.batch_size")
    captions, view_sampler = recipe.captions, ViewSampler(recipe.data.views)
    if captions.steps:
        images = CaptionBatches(
            data.captions, source, captions.batch_size, recipe.seed, own_data_shard(), view_sampler=view_sampler
        )
        stages = Curriculum(images, captions.steps, stages)
    if recipe.words.steps:
        count, share = recipe.words.images, own_data_shard()
        described = CaptionBatches(data.captions, source, count, recipe.seed, share, True, view_sampler, "words.images")
        pairs = _pairs(recipe, data, source, recipe.words.batch_size, "words.batch_size")
        words = WordBatches(pairs, described)
        stages = Curriculum(words, recipe.words.steps, stages)
    return stages


def _pairs(
    recipe: GeneratorRecipe, data: TrainingData, source: TokenSource, batch_size: int, setting: str
) -> PairBatches:
    return PairBatches(
        data.triplets,
        source,
        batch_size,
        recipe.seed,
        own_data_shard(),
        both_directions=recipe.data.both_directions,
        text_variants=data.text_variants,
        view_sampler=ViewSampler(recipe.data.views),
        setting=setting,
    )


def _prepare_language(generator: ModificationGenerator, precision: ResolvedPrecision) -> None:
    """Hold the frozen language model as its training passes are fastest.

    In the precision it is computed in: else autocast would cast it every step. On the CPU with attention by plain
    matrix products: torch's fused kernel takes twice as long backwards for a few dozen positions.
    """
    device = this_process().device
    if precision == "bf16":
        generator.model.language.to(torch.bfloat16)
    if device.type == "cpu":
        generator.model.language.model.set_attn_implementation("eager")


def _identity(
    recipe: GeneratorRecipe, data: TrainingData, cache: FeatureCache, config: GeneratorConfig
) -> dict[str, Any]:
    return {
        "generator": config.model_dump(include={"instruction", "caption_instruction", "image_type_embeddings"}),
        "recipe": recipe.model_dump(mode="json", exclude=_NOT_IDENTITY),
        "both_directions": recipe.data.both_directions,
        "views": recipe.data.views,
        "initial_weights": weights_identity(recipe.initial_weights, "generator"),
        "initial_retriever": weights_identity(recipe.initial_retriever, "retriever"),
        "vision": cache.identity.vision,
        "preprocessing": cache.identity.preprocessing,
        "data": data.fingerprint(cache),
        **preset_identity(recipe.preset),
    }


def _save(generator: ModificationGenerator, out: Path) -> None:
    generator.model.eval()
    if this_process().is_main_process:
        generator.save(out / "generator")
