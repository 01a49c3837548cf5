"""From a recipe's data settings to the triplets and images to learn from."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from likebut.benchmarks.benchmark import Benchmark
from likebut.benchmarks.cirr import cirr_images, load_cirr_triplets
from likebut.benchmarks.fashioniq import load_fashioniq_triplets, training_text
from likebut.benchmarks.folder import load_folder
from likebut.benchmarks.loading import load_benchmark
from likebut.data_folder import DataFolder
from likebut.errors import InputError
from likebut.recipes.schema import DataSettings
from likebut.synthesis.image_folder import find_images
from likebut.synthesis.reverse import read_reverse_texts, with_reverse_texts
from likebut.synthesis.shards import read_synthetic
from likebut.training.captions import read_captions
from likebut.training.data import TrainingData
from likebut.training.merging import merge
from likebut.triplets import ImageRef, Triplet


def gather(settings: DataSettings, captions: bool = False) -> TrainingData:
    """Return what ``settings`` name.

    Args:
        settings: A recipe's.
        captions: Whether single images' captions are wanted too.

    Raises:
        InputError: A data folder was not said, is missing or wrong, or none holds triplets.
    """
    first = _gather_first(settings, captions)
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


def _gather_first(settings: DataSettings, captions: bool) -> TrainingData:
    root = require_root(settings)
    triplets: list[Triplet] = []
    if settings.use != "synthetic":
        triplets, images = _human(settings, root)
        if settings.reverse_texts is not None:
            triplets, _ = with_reverse_texts(triplets, read_reverse_texts(settings.reverse_texts))
    else:
        images = _images(settings, root)
    if settings.use != "human":
        triplets = [*triplets, *_synthetic(settings.synthetic)]
    variants = training_text if settings.source == "fashioniq" else None
    return TrainingData(triplets, images, variants, read_captions(root, settings.split) if captions else ())


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


def _synthetic(folders: Sequence[Path]) -> list[Triplet]:
    if not folders:
        raise InputError("The recipe learns from synthetic triplets, and none were given.", "Add --synthetic FOLDER.")
    return [triplet for folder in folders for triplet in read_synthetic(folder)]
