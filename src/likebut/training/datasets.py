"""Assembly of a training dataset: own data folders, benchmarks in their official layout, synthetic shards."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from likebut.data.folder import DataFolder, find_images, read_captions
from likebut.data.synthetic_triplets import fill_reverse_texts, read_reverse_texts, read_synthetic
from likebut.data.triplets import ImageRef, Triplet
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.cirr import cirr_images, load_cirr_triplets
from likebut.evaluation.benchmarks.fashioniq import load_fashioniq_triplets, training_text
from likebut.evaluation.benchmarks.folder import load_folder
from likebut.evaluation.benchmarks.loading import load_benchmark
from likebut.recipes.schema import DataSettings
from likebut.settings import parse_settings
from likebut.training.data import TrainingData, merge


def load_dataset(
    root: Path | str, split: str = "train", captions: bool = False, reverse: bool = False, **settings: Any
) -> TrainingData:
    """Return the training data of one split of a data folder or a benchmark.

    Args:
        root: The folder.
        split: The split to train on.
        captions: Whether to read the captions of images, for a captions stage.
        reverse: Whether every triplet must have a reverse modification text, for the prototype loss; triplets whose
            reverse text passed no filter are left out.
        **settings: Further fields of :class:`~likebut.recipes.schema.DataSettings`, such as ``source="cirr"`` or
            ``mined_hard_negatives=4``.

    Raises:
        InputError: A setting is wrong, the folder is missing or invalid, or the split has no triplets.
    """
    values = {"root": root, "split": split, **settings}
    return gather(parse_settings(DataSettings, values, "load_dataset"), captions, reverse)


def gather(settings: DataSettings, captions: bool = False, reverse: bool = False) -> TrainingData:
    """Return the training data that the data settings of a recipe name.

    Args:
        settings: Of a recipe.
        captions: Whether to read the captions of images.
        reverse: Whether every triplet must have a reverse modification text; triplets whose reverse text passed no
            filter are left out.

    Raises:
        InputError: The root is not set, a folder is missing or invalid, the split has no triplets, or a source of
            triplets is given that ``settings.use`` excludes.
    """
    _require_use(settings)
    first = replace(_gather_first(settings, captions, reverse), settings=settings)
    found = [first, *(_gather_another(folder, settings, captions) for folder in settings.also)]
    merged = first if len(found) == 1 else merge(found)
    if settings.registers:
        merged = replace(merged, triplets=[each for each in merged.triplets if _register(each) in settings.registers])
    if not merged.triplets:
        raise InputError(
            f'{settings.root} has no training triplets of the split "{settings.split}".',
            "Check the split, and data.registers.",
            "no-triplets",
        )
    return merged


def _register(triplet: Triplet) -> str:
    return str(triplet.meta.get("register", "free"))


def _require_use(settings: DataSettings) -> None:
    if settings.synthetic and settings.use == "human":
        raise InputError(
            "data.use is human, and synthetic triplets were given.",
            "Add --set data.use=synthetic or --set data.use=both.",
            "unused-synthetic",
        )
    if settings.reverse_texts is not None and settings.use == "synthetic":
        raise InputError(
            "data.use is synthetic, and --reverse-texts, which is for human triplets, was given.",
            "Leave it out, or add --set data.use=both.",
            "unused-reverse-texts",
        )


def _gather_first(settings: DataSettings, captions: bool, reverse: bool) -> TrainingData:
    root = require_root(settings)
    human: list[Triplet] = []
    if settings.use != "synthetic":
        human, images = _human(settings, root)
    else:
        images = _images(settings, root)
    synthetic = _synthetic(settings) if settings.use != "human" else []
    left_out = 0
    if settings.reverse_texts is not None:
        human = _fill_reverse_texts(human, settings.reverse_texts, reverse)
    if reverse:
        # A generator would write the rejected texts again. Without a folder of reverse texts there was no attempt yet,
        # and the batches raise an error that says what to do.
        given = len(human) + len(synthetic)
        human = human if settings.reverse_texts is None else _with_reverse_text(human)
        synthetic = _with_reverse_text(synthetic)
        left_out = given - len(human) - len(synthetic)
    variants = training_text if settings.source == "fashioniq" else None
    found = read_captions(root, settings.split) if captions else ()
    return TrainingData([*human, *synthetic], images, variants, found, left_out)


def _fill_reverse_texts(human: list[Triplet], folder: Path, reverse: bool) -> list[Triplet]:
    """Return human triplets with the reverse texts in ``folder``.

    Raises:
        InputError: ``reverse`` is set, and the texts were generated for other triplets.
    """
    texts = read_reverse_texts(folder)
    filled = fill_reverse_texts(human, texts)
    others = [each for each in filled if reverse and not each.reverse_modification and not texts.covers(each)]
    if others:
        raise InputError(
            f"The reverse texts in {folder} were generated for other triplets: "
            f"{len(others)} of the {len(human)} training triplets are not among them.",
            "Generate them for this data and split with `likebut synthesize --reverse-for`.",
            "other-reverse-texts",
        )
    return filled


def _with_reverse_text(triplets: Sequence[Triplet]) -> list[Triplet]:
    return [triplet for triplet in triplets if triplet.reverse_modification]


def _gather_another(root: Path, settings: DataSettings, captions: bool) -> TrainingData:
    """Return the triplets of a further folder, unless only synthetic ones are used, and its captions."""
    folder = DataFolder.open(root)
    triplets = [] if settings.use == "synthetic" else folder.triplets(settings.split)
    found = read_captions(root, settings.split) if captions else []
    if settings.use != "synthetic" and not triplets and not found:
        raise InputError(
            f'{root} has neither triplets nor captions of the split "{settings.split}".',
            "Check the split.",
            "no-triplets",
        )
    return TrainingData(triplets, folder.images(), captions=found)


def evaluation_benchmarks(settings: DataSettings) -> list[Benchmark]:
    """Return the benchmarks that a training with ``settings`` is evaluated on."""
    root = require_root(settings)
    if settings.source == "folder":
        return load_folder(root, settings.evaluation_split)
    return load_benchmark(settings.source, root, settings.evaluation_split)


def require_root(settings: DataSettings) -> Path:
    """Return the data folder.

    Raises:
        InputError: It is not set.
    """
    if settings.root is None:
        raise InputError("The folder of the training data is not set.", "Add --data FOLDER.", "missing-root")
    return settings.root


def _human(settings: DataSettings, root: Path) -> tuple[list[Triplet], dict[str, ImageRef]]:
    match settings.source:
        case "cirr":
            return load_cirr_triplets(root, settings.split)
        case "fashioniq":
            return load_fashioniq_triplets(root, settings.split)
        case _:
            folder = DataFolder.open(root)
            return folder.triplets(settings.split), folder.images()


def _images(settings: DataSettings, root: Path) -> dict[str, ImageRef]:
    """Return the images that synthetic triplets may name; of a plain folder of images, all."""
    match settings.source:
        case "cirr":
            return cirr_images(root, settings.split)
        case "fashioniq":
            return load_fashioniq_triplets(root, settings.split)[1]
        case _:
            return {image.name: image for image in find_images(root)}


def _synthetic(settings: DataSettings) -> list[Triplet]:
    if not settings.synthetic:
        raise InputError(
            f"data.use is {settings.use}, and no synthetic triplets were given.",
            "Add --synthetic FOLDER.",
            "missing-synthetic",
        )
    both = settings.synthetic_directions == "both"
    return [triplet for folder in settings.synthetic for triplet in read_synthetic(folder, both)]
