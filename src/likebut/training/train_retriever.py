"""Training of a retriever: from a recipe, or from Python objects with :class:`RetrieverTrainer`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from likebut.data.sampling import Batches
from likebut.errors import InputError
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
from likebut.recipes.schema import CaptionSettings, LossSettings, RetrieverRecipe, TrainingSettings
from likebut.retriever.base import ComposedRetriever
from likebut.retriever.baselines import OneHop
from likebut.retriever.ptha import PTHA
from likebut.retriever.retriever import Retriever, RetrieverConfig
from likebut.settings import parse_settings
from likebut.training.batches import Curriculum, TripletBatches
from likebut.training.caption_batches import CaptionBatches, ImageTextBatches
from likebut.training.data import TrainingData
from likebut.training.datasets import evaluation_benchmarks
from likebut.training.evaluation import Evaluator, RetrievalEvaluator
from likebut.training.run import TrainingRun, require_captions, run_training, weights_identity
from likebut.training.tasks import RetrievalTask
from likebut.training.view_sampler import ViewSampler


@dataclass(frozen=True)
class RetrieverRun(TrainingRun):
    """A finished training of a retriever.

    Attributes:
        retriever: With the final weights, or with the best if a metric selects them.
    """

    retriever: Retriever


class RetrieverTrainer:
    """Trains a retriever from Python.

    The command line does the same with a recipe, see :func:`train_retriever`.

    Args:
        retriever: Is trained in place; from :meth:`Retriever.from_pretrained` or :meth:`Retriever.from_preset`.
        args: Settings of the training loop.
        train_dataset: From :func:`~likebut.training.datasets.load_dataset`, whose settings also say how training
            samples from it (views, hard negatives).
        output: Folder for checkpoints, the metrics log and the model, in ``output/retriever``. A training that was
            interrupted resumes from there.
        loss: Weights and options of the losses.
        evaluator: Evaluates every ``args.evaluate_every`` steps. Its primary metric, if it has one, selects the weights
            that are kept.
        captions: The captions stage.
        seed: Of the order of the data, of sampling and of dropout.
        features: The cache of vision tokens; in the user's cache folder if None.

    Raises:
        InputError: Settings contradict each other, or the retriever has nothing to train.
    """

    def __init__(
        self,
        retriever: Retriever,
        args: TrainingSettings,
        train_dataset: TrainingData,
        output: Path | str,
        loss: LossSettings = LossSettings(),  # noqa: B008 (frozen)
        evaluator: Evaluator | None = None,
        captions: CaptionSettings = CaptionSettings(),  # noqa: B008 (frozen)
        seed: int = 0,
        features: Path | str | None = None,
    ) -> None:
        if not isinstance(retriever.module, ComposedRetriever):
            raise InputError(
                f"A retriever of the kind {retriever.config.kind} has nothing to train.",
                "Give one of Retriever.from_preset or a trained one.",
                "nothing-trained",
            )
        if (evaluator is None) != (args.evaluate_every is None):
            raise InputError(
                "An evaluator and args.evaluate_every have an effect only together.",
                "Give both, or neither.",
                "unused-evaluator",
            )
        if evaluator is not None and args.best_metric is None and evaluator.primary_metric is not None:
            args = args.model_copy(update={"best_metric": evaluator.primary_metric})
        config = retriever.config
        preset = config.preset if isinstance(config.preset, str) else config.preset.name
        values = {
            "job": "train-retriever",
            "preset": preset,
            "seed": seed,
            "model": {"kind": config.kind, "pooling": config.pooling},
            "data": train_dataset.settings.model_dump(),
            "loss": loss.model_dump(),
            "captions": captions.model_dump(),
            "training": args.model_dump(),
        }
        self.recipe = parse_settings(RetrieverRecipe, values, "RetrieverTrainer")
        self.retriever = retriever.to(this_process().device)
        self.train_dataset, self.evaluator = train_dataset, evaluator
        self.output, self.features = Path(output), None if features is None else Path(features)
        self._initial_weights = retriever.identity.weights_sha256

    def train(self) -> RetrieverRun:
        """Train, save the retriever and return it; see :func:`train_retriever` for the errors."""
        return _train(
            self.retriever,
            self.recipe,
            self.train_dataset,
            self.output,
            self.features,
            self.evaluator,
            self._initial_weights,
        )


def train_retriever(
    recipe: RetrieverRecipe,
    data: TrainingData,
    out: Path,
    feature_folder: Path | None = None,
    evaluator: Evaluator | None = None,
) -> RetrieverRun:
    """Train a retriever by a recipe and save it in ``out/retriever``; ``out`` itself then counts as a model folder.

    Killed at any moment and called again with the same arguments, it ends with the same weights.

    Args:
        recipe: Model, losses and settings of the training.
        data: The training data.
        out: Where checkpoints, the metrics log and the model are written.
        feature_folder: The cache of vision tokens; in the user's cache folder if None.
        evaluator: Evaluates the retriever every ``training.evaluate_every`` steps. If None and that is set, one on the
            recipe's evaluation split.

    Raises:
        MissingWeightsError: The parts of the preset or the initial weights are not on this machine.
        ResumeError: ``out`` holds a training with other settings or data.
        InputError: The data does not fill a batch, or lacks reverse texts or captions that the recipe needs.
    """
    require_captions(recipe.captions.steps, data)
    if evaluator is None and recipe.training.evaluate_every is not None:
        benchmarks = evaluation_benchmarks(recipe.data)
        evaluator = RetrievalEvaluator(benchmarks, recipe.training.best_metric, feature_folder)
    initial_weights = weights_identity(recipe.initial_weights, "retriever")
    retriever = start_retriever(recipe)
    return _train(retriever, recipe, data, out, feature_folder, evaluator, initial_weights)


def start_retriever(recipe: RetrieverRecipe) -> Retriever:
    """Return the retriever that ``recipe`` starts from.

    Raises:
        MissingWeightsError: The parts of the preset or the initial weights are not on this machine.
        InputError: The initial weights were trained with another preset.
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


def _train(
    retriever: Retriever,
    recipe: RetrieverRecipe,
    data: TrainingData,
    out: Path,
    feature_folder: Path | None,
    evaluator: Evaluator | None,
    initial_weights: str,
) -> RetrieverRun:
    require_captions(recipe.captions.steps, data)
    module = retriever.module
    assert isinstance(module, ComposedRetriever)
    if isinstance(module, PTHA | OneHop):
        module.text_only_loss = recipe.loss.lambda_text > 0
        retriever.config = retriever.config.model_copy(update={"text_only_loss": module.text_only_loss})
    identity = {
        "hard_negatives": recipe.data.hard_negatives,
        "mined_hard_negatives": recipe.data.mined_hard_negatives,
        "initial_weights": initial_weights,
    }
    evaluation_skipped = []
    if evaluator is not None:
        best_metric = recipe.training.best_metric
        if best_metric is not None and best_metric != evaluator.primary_metric:
            raise InputError(
                f"training.best_metric is {best_metric}, the evaluator's primary metric is {evaluator.primary_metric}.",
                "Set one of them, or both alike.",
                "metric-conflict",
            )
        evaluation_skipped = evaluator.prepare(retriever)
        if best_metric is not None:
            identity["measured_on"] = evaluator.identity

    def make_batches(data: TrainingData, source: TokenSource, view_sampler: ViewSampler) -> Batches:
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
        images = CaptionBatches(
            data.captions, source, recipe.captions.batch_size, recipe.seed, own_data_shard(), view_sampler=view_sampler
        )
        return Curriculum(ImageTextBatches(images, retriever.tokenizer), recipe.captions.steps, triplets)

    def evaluate(step: int) -> Mapping[str, float]:
        assert evaluator is not None
        return evaluator(retriever)

    run = run_training(
        retriever,
        RetrievalTask(module, recipe.loss),
        recipe,
        retriever.config.preset,
        data,
        make_batches,
        out,
        "retriever",
        identity,
        feature_folder,
        None if evaluator is None else evaluate,
        evaluator is None or evaluator.greater_is_better,
    )
    skipped = list(dict.fromkeys([*run.skipped, *evaluation_skipped]))
    return RetrieverRun(run.folder, run.result, skipped, run.triplets, retriever)
