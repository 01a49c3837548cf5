"""From a recipe's data settings to the triplets and images to learn from."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

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
from likebut.training.data import TrainingData, merge


def gather(settings: DataSettings, captions: bool = False, reverse: bool = False) -> TrainingData:
    """Return what ``settings`` name.

    Args:
        settings: A recipe's.
        captions: Whether single images' captions are wanted too.
        reverse: Whether every triplet must have a reverse text. Those whose text no filter kept are then left out.

    Raises:
        InputError: A data folder was not said, is missing or wrong, or none holds triplets; or something was given that
            the recipe does not read.
    """
    _require_use(settings)
    first = _gather_first(settings, captions, reverse)
    found = [first, *(_gather_another(folder, settings, captions) for folder in settings.also)]
    merged = first if len(found) == 1 else merge(found)
    if settings.registers:
        merged = replace(merged, triplets=[each for each in merged.triplets if _register(each) in settings.registers])
    if not merged.triplets:
        raise InputError(
            f'{settings.root} gives no training triplets of the split "{settings.split}".',
            "Check the split, and data.registers.",
        )
    return merged


def _register(triplet: Triplet) -> str:
    return str(triplet.meta.get("register", "free"))


def _require_use(settings: DataSettings) -> None:
    if settings.synthetic and settings.use == "human":
        raise InputError(
            "The recipe learns from human triplets alone, and --synthetic was given.",
            "Add --set data.use=synthetic or --set data.use=both.",
        )
    if settings.reverse_texts is not None and settings.use == "synthetic":
        raise InputError(
            "The recipe learns from synthetic triplets alone, and --reverse-texts, which is for human ones, was given.",
            "Leave them out, or add --set data.use=both.",
        )


def _gather_first(settings: DataSettings, captions: bool, reverse: bool) -> TrainingData:
    root = require_root(settings)
    human: list[Triplet] = []
    if settings.use != "synthetic":
        human, images = _human(settings, root)
    else:
        images = _images(settings, root)
    written = _synthetic(settings) if settings.use != "human" else []
    left_out = 0
    if settings.reverse_texts is not None:
        human = _filled(human, settings.reverse_texts, reverse)
    if reverse:
        # Asked once more, the generator would write the same. Without a folder of texts it was not asked yet, and
        # training says what to do about it.
        given = len(human) + len(written)
        human = human if settings.reverse_texts is None else _with_reverse_text(human)
        written = _with_reverse_text(written)
        left_out = given - len(human) - len(written)
    variants = training_text if settings.source == "fashioniq" else None
    found = read_captions(root, settings.split) if captions else ()
    return TrainingData([*human, *written], images, variants, found, left_out)


def _filled(human: list[Triplet], folder: Path, reverse: bool) -> list[Triplet]:
    """Return human triplets with the reverse texts in ``folder``; with ``reverse`` all must have been asked for.

    Raises:
        InputError: The texts were written for other triplets.
    """
    texts = read_reverse_texts(folder)
    filled = fill_reverse_texts(human, texts)
    others = [each for each in filled if reverse and not each.reverse_modification and not texts.covers(each)]
    if others:
        raise InputError(
            f"The reverse texts in {folder} were written for other triplets: of {len(others)} of the {len(human)} that "
            "training reads nothing was asked.",
            "Write them for this data and split, with `likebut synthesize --reverse-for`.",
        )
    return filled


def _with_reverse_text(triplets: Sequence[Triplet]) -> list[Triplet]:
    return [triplet for triplet in triplets if triplet.reverse_modification]


def _gather_another(root: Path, settings: DataSettings, captions: bool) -> TrainingData:
    """Return what a further folder holds: its triplets, unless only synthetic ones are wanted, and its captions."""
    folder = DataFolder.open(root)
    triplets = [] if settings.use == "synthetic" else folder.triplets(settings.split)
    found = read_captions(root, settings.split) if captions else []
    if settings.use != "synthetic" and not triplets and not found:
        raise InputError(f'{root} gives nothing to learn from in the split "{settings.split}".', "Check the split.")
    return TrainingData(triplets, folder.images(), captions=found)


def evaluation_benchmarks(settings: DataSettings) -> list[Benchmark]:
    """Return what a training with ``settings`` is measured on while it goes on."""
    root = require_root(settings)
    if settings.source == "folder":
        return load_folder(root, settings.evaluation_split)
    return load_benchmark(settings.source, root, settings.evaluation_split)


def require_root(settings: DataSettings) -> Path:
    """Return the data's folder.

    Raises:
        InputError: It was not said.
    """
    if settings.root is None:
        raise InputError("Where the training data lies was not said.", "Add --data FOLDER.")
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
    """Return the images that synthetic triplets may name; for a plain folder of pictures, all of them."""
    match settings.source:
        case "cirr":
            return cirr_images(root, settings.split)
        case "fashioniq":
            return load_fashioniq_triplets(root, settings.split)[1]
        case _:
            return {image.name: image for image in find_images(root)}


def _synthetic(settings: DataSettings) -> list[Triplet]:
    if not settings.synthetic:
        raise InputError("The recipe learns from synthetic triplets, and none were given.", "Add --synthetic FOLDER.")
    both = settings.synthetic_directions == "both"
    return [triplet for folder in settings.synthetic for triplet in read_synthetic(folder, both)]
