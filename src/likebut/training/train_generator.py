"""Training of a generator by a recipe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from likebut.data.sampling import Batches
from likebut.errors import InputError
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
from likebut.training.data import TrainingData
from likebut.training.run import TrainingRun, require_captions, run_training, weights_identity
from likebut.training.tasks import GeneratorTask
from likebut.training.view_sampler import ViewSampler


@dataclass(frozen=True)
class GeneratorRun(TrainingRun):
    """A finished training of a generator.

    Attributes:
        generator: With the final weights.
    """

    generator: ModificationGenerator


def train_generator(
    recipe: GeneratorRecipe,
    data: TrainingData,
    out: Path,
    feature_folder: Path | None = None,
) -> GeneratorRun:
    """Train a generator by a recipe and save it in ``out/generator``; ``out`` itself then counts as a model folder.

    Killed at any moment and called again with the same arguments, it ends with the same weights.

    Args:
        recipe: Model and settings of the training.
        data: The training data; with captions if the recipe has a words or a captions stage.
        out: Where checkpoints, the metrics log and the model are written.
        feature_folder: The cache of vision tokens; in the user's cache folder if None.

    Raises:
        MissingWeightsError: The parts of the preset or the initial weights are not on this machine.
        ResumeError: ``out`` holds a training with other settings or data.
        InputError: The data does not fill a batch, or lacks captions that the recipe needs.
    """
    require_captions(recipe.stage_steps, data)
    generator = start_generator(recipe)
    identity = {
        "generator": generator.config.model_dump(
            include={"instruction", "caption_instruction", "image_type_embeddings"}
        ),
        "initial_weights": weights_identity(recipe.initial_weights, "generator"),
        "initial_retriever": weights_identity(recipe.initial_retriever, "retriever"),
    }

    def make_batches(data: TrainingData, source: TokenSource, view_sampler: ViewSampler) -> Batches:
        """Return the stages one after the other: words, captions, pairs."""
        seed, shard, words, captions = recipe.seed, own_data_shard(), recipe.words, recipe.captions

        def pairs(batch_size: int, setting: str) -> PairBatches:
            both = recipe.data.both_directions
            return PairBatches(
                data.triplets, source, batch_size, seed, shard, both, data.text_variants, view_sampler, setting
            )

        stages: Batches = pairs(recipe.training.batch_size, "training.batch_size")
        if captions.steps:
            images = CaptionBatches(data.captions, source, captions.batch_size, seed, shard, view_sampler=view_sampler)
            stages = Curriculum(images, captions.steps, stages)
        if words.steps:
            images = CaptionBatches(
                data.captions, source, words.images, seed, shard, True, view_sampler, "words.images"
            )
            stages = Curriculum(WordBatches(pairs(words.batch_size, "words.batch_size"), images), words.steps, stages)
        return stages

    def prepare_language(precision: ResolvedPrecision) -> None:
        if precision == "bf16":  # or autocast would cast the frozen language model every step
            generator.model.language.to(torch.bfloat16)
        if this_process().device.type == "cpu":
            # The backward pass of torch's fused attention kernel takes twice as long for a few dozen positions.
            generator.model.language.model.set_attn_implementation("eager")

    run = run_training(
        generator,
        GeneratorTask(generator.model, recipe.words.dropout),
        recipe,
        recipe.preset,
        data,
        make_batches,
        out,
        "generator",
        identity,
        feature_folder,
        prepare=prepare_language,
    )
    return GeneratorRun(run.folder, run.result, run.skipped, run.triplets, generator)


def start_generator(recipe: GeneratorRecipe) -> ModificationGenerator:
    """Return the generator that ``recipe`` starts from.

    Raises:
        MissingWeightsError: The parts of the preset or the initial weights are not on this machine.
        InputError: The initial weights were trained with another preset, or with other options than the recipe sets.
    """
    options = recipe.model_dump(include={"instruction", "image_type_embeddings", "default_decoding"}, exclude_none=True)
    if recipe.initial_weights is not None:
        return _from_initial_weights(recipe, recipe.initial_weights, options)
    config = GeneratorConfig(preset=recipe.preset, **options)
    generator = ModificationGenerator.from_preset(recipe.preset, config, recipe.seed, this_process().device)
    if recipe.initial_retriever is not None:
        retriever = Retriever.from_pretrained(recipe.initial_retriever, device=generator.device)
        folder = Path(recipe.initial_retriever)
        require_same_parts(load_preset(recipe.preset), retriever.config.preset, folder, "retriever")
        query_encoder = retriever.module.get_submodule("core.query_encoder")
        assert isinstance(query_encoder, QueryEncoder)
        start_from_retriever(generator.model, query_encoder)
    tokenizer = load_tokenizer(load_preset(recipe.preset))
    if recipe.projection_from_shared_words and isinstance(tokenizer, WordPieceTokenizer):
        start_projection_from_shared_words(generator.model, tokenizer.vocabulary)
    return generator


def _from_initial_weights(recipe: GeneratorRecipe, name: str, options: dict[str, Any]) -> ModificationGenerator:
    """Return the generator called ``name``, with the recipe's ``options`` in place of those it was saved with."""
    folder = find_model_folder(name, "generator")
    raw, state = read_model_folder(folder, "generator")
    saved = parse_settings(GeneratorConfig, raw, str(folder / "config.json"))
    require_same_parts(load_preset(recipe.preset), saved.preset, folder, "generator")
    if options.get("image_type_embeddings", saved.image_type_embeddings) != saved.image_type_embeddings:
        raise InputError(
            f"{folder} was trained {'with' if saved.image_type_embeddings else 'without'} image-type embeddings, "
            f"and the recipe sets image_type_embeddings: {str(recipe.image_type_embeddings).lower()}.",
            "Add --set image_type_embeddings=null.",
            "other-image-type-embeddings",
        )
    config = saved.model_copy(update={"weights_sha256": "", **options})
    generator = ModificationGenerator.from_preset(recipe.preset, config, recipe.seed, this_process().device)
    load_trained_state(generator.model, state, folder)
    return generator
