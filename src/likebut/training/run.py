"""What the trainings of retrievers and generators have in common: from data and a task to a saved model folder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from likebut.data.images import SkippedImage
from likebut.data.sampling import Batches
from likebut.data.triplets import ImageRef
from likebut.data.views import with_views
from likebut.errors import InputError
from likebut.features.cache import FeatureCache, open_features
from likebut.features.token_source import ResidentFeatures, TokenSource
from likebut.files import sha256_of
from likebut.models.devices import ResolvedPrecision
from likebut.models.model_folder import WEIGHTS_NAME, find_model_folder
from likebut.models.preset import Preset, load_preset
from likebut.models.process_group import this_process
from likebut.models.vision import VisionEncoder
from likebut.progress import notice
from likebut.recipes.schema import GeneratorRecipe, RetrieverRecipe
from likebut.training.checkpoints import BEST_FILE, load_weights
from likebut.training.data import TrainingData
from likebut.training.loop import Evaluation, TrainingResult, claim, run_precision, train
from likebut.training.tasks import Task
from likebut.training.view_sampler import PLAIN, ViewSampler, find_mined_hard_negatives

MakeBatches = Callable[[TrainingData, TokenSource, ViewSampler], Batches]

# Where the data is stored does not change the result; its content does, and has a fingerprint of its own.
_NOT_IDENTITY = {"description", "training", "seed", "initial_weights", "initial_retriever", "data", "default_decoding"}


class TrainableModel(Protocol):
    """A retriever or a generator around the module that is trained."""

    vision: VisionEncoder
    device: torch.device

    def save(self, folder: Path | str) -> None:
        """Write the trained weights."""


@dataclass(frozen=True)
class TrainingRun:
    """A finished training.

    Attributes:
        folder: The saved model folder.
        result: Of the loop.
        skipped: Images that could not be used; triplets that name them were left out.
        triplets: Number of triplets that were used.
    """

    folder: Path
    result: TrainingResult
    skipped: list[SkippedImage]
    triplets: int


def run_training(
    model: TrainableModel,
    task: Task,
    recipe: RetrieverRecipe | GeneratorRecipe,
    preset: str | Preset,
    data: TrainingData,
    make_batches: MakeBatches,
    out: Path,
    job: str,
    identity: Mapping[str, Any],
    feature_folder: Path | None = None,
    evaluate: Evaluation | None = None,
    greater_is_better: bool = True,
    prepare: Callable[[ResolvedPrecision], None] | None = None,
) -> TrainingRun:
    """Encode the images, train, and save the model in ``out/job``.

    Args:
        model: Is saved.
        task: The module of ``model``, with its losses.
        recipe: Settings of the training.
        preset: The preset of ``model``; one that is not shipped is compared in full at a resume.
        data: The training data.
        make_batches: Returns the batches of the usable data. Called before the encoding as well, so that errors in the
            triplets are reported before hours of work.
        out: Where checkpoints, the metrics log and the model are written.
        job: "retriever" or "generator".
        identity: What else the result depends on; a resume with another identity is refused.
        feature_folder: The cache of vision tokens; in the user's cache folder if None.
        evaluate: Called every ``training.evaluate_every`` steps.
        greater_is_better: The direction of ``training.best_metric``.
        prepare: Called with the precision of the training before the first step.

    Raises:
        ResumeError: ``out`` holds a training with other settings or data.
        InputError: The data does not fill a batch, or lacks something that the recipe needs.
    """
    settings = recipe.data
    with_hard_negatives = settings.hard_negatives > 0
    cache = open_features(model.vision, feature_folder)
    images = data.needed_images(with_hard_negatives)
    cache.learn_names(images)
    cache.require_read(images)
    unusable = cache.skipped(images)
    with explain_skipped_images(unusable):
        make_batches(data.without(unusable, with_hard_negatives), cache, PLAIN)
    identity = {
        "recipe": recipe.model_dump(mode="json", exclude=_NOT_IDENTITY),
        "both_directions": settings.both_directions,
        "views": settings.views,
        "vision": cache.identity.vision,
        "preprocessing": cache.identity.preprocessing,
        "data": data.fingerprint(cache),
        **preset_identity(preset),
        **identity,
    }
    process = this_process()
    if process.is_main_process:
        claim(out, recipe.training, recipe.seed, identity)
    process.wait_for_everyone()

    skipped = _encode_views(cache, images, settings.views, model.vision)
    usable = data.without(skipped, with_hard_negatives)
    model.vision.to("cpu")
    if prepare is not None:
        prepare(run_precision(out, recipe.training))
    mined = find_mined_hard_negatives(cache, usable.names_in(cache), settings.mined_hard_negatives)
    source: TokenSource = cache
    if settings.resident:
        source = ResidentFeatures(cache, usable.names_in(cache, settings.views), process.device)
    with explain_skipped_images(skipped):
        batches = make_batches(usable, source, ViewSampler(settings.views, mined))
    label = f"training the {job}"
    result = train(task, batches, recipe.training, out, recipe.seed, identity, evaluate, greater_is_better, label)

    if result.best_step is not None:
        load_weights(task.model, out / BEST_FILE)
    task.model.eval()
    if process.is_main_process:
        model.save(out / job)
    process.wait_for_everyone()
    model.vision.to(model.device)
    return TrainingRun(out / job, result, skipped, len(usable.triplets))


def require_captions(steps: int, data: TrainingData) -> None:
    """Check that there are captions if the first ``steps`` steps of a recipe read them.

    Raises:
        InputError: There are none.
    """
    if steps and not data.captions:
        raise InputError(
            f"The first {steps} steps of the recipe read captions, and the data has none.",
            "Add captions.jsonl to the data folder, or --set captions.steps=0 (and words.steps=0 for a generator).",
            "missing-captions",
        )


def weights_identity(name: str | None, job: str) -> str:
    """Return the SHA-256 of the weights called ``name``, or "none" if there is no name.

    Args:
        name: A folder, a published name or a hub id.
        job: "retriever" or "generator".
    """
    return "none" if name is None else sha256_of(find_model_folder(name, job) / WEIGHTS_NAME)


def preset_identity(preset: str | Preset) -> dict[str, Any]:
    """Return what a training depends on besides the preset's name: the contents of a preset that is not shipped."""
    found = load_preset(preset).reference()
    return {"preset_contents": found.model_dump(mode="json")} if isinstance(found, Preset) else {}


@contextmanager
def explain_skipped_images(skipped: Sequence[SkippedImage]) -> Iterator[None]:
    """Add the skipped images, a possible cause, to an :class:`InputError` raised within the block."""
    try:
        yield
    except InputError as error:
        if not skipped:
            raise
        raise InputError(
            f"{error.problem} {_skipped_summary(skipped)}.",
            f"Check the images. Otherwise: {error.remedy}",
            error.code,
        ) from None


def _encode_views(
    cache: FeatureCache, images: Sequence[ImageRef], views: int, vision: VisionEncoder
) -> list[SkippedImage]:
    """Add the tokens of ``views`` views of each image to ``cache``; report and return the images that are skipped.

    Raises:
        InputError: A file could not be read this time (a disk fault, permissions).
    """
    seen = with_views(images, views)
    cache.add(seen, vision)
    cache.require_read(seen)
    skipped = cache.skipped(images)
    if skipped and this_process().is_main_process:
        notice(f"{_skipped_summary(skipped)}; what names them is not used.")
    return skipped


def _skipped_summary(skipped: Sequence[SkippedImage]) -> str:
    first = skipped[0]
    what = "image" if len(skipped) == 1 else "images"
    return f"{len(skipped)} {what} cannot be used, {first.name} first ({first.reason.rstrip('.')})"
