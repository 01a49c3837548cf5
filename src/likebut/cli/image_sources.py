"""The images that ``likebut pairs`` and ``likebut synthesize`` are pointed at."""

from pathlib import Path

from likebut.benchmarks.cirr import cirr_images, load_cirr_triplets
from likebut.benchmarks.fashioniq import load_fashioniq_triplets
from likebut.data_folder import DataFolder
from likebut.errors import InputError
from likebut.synthesis.image_folder import find_images
from likebut.triplets import ImageRef, Triplet


def source_images(folder: Path, split: str | None, benchmark: str | None) -> list[ImageRef]:
    """Return the images below ``folder``.

    Args:
        folder: A data folder, a plain folder of images, or a benchmark's.
        split: Only this split's; for a benchmark "train" if None, otherwise all images.
        benchmark: "cirr" or "fashioniq", if ``folder`` is that benchmark's; images then bear its names.

    Raises:
        InputError: There is no such folder, split or benchmark.
    """
    if benchmark is None:
        return find_images(folder, split)
    if _known(benchmark) == "cirr":
        return list(cirr_images(folder, split or "train").values())
    return list(load_fashioniq_triplets(folder, split or "train")[1].values())


def human_triplets(folder: Path, split: str, benchmark: str | None) -> tuple[list[Triplet], dict[str, ImageRef]]:
    """Return the human triplets of a split, and images by name.

    Raises:
        InputError: There is no such folder, split or benchmark.
    """
    if benchmark is not None:
        load = load_cirr_triplets if _known(benchmark) == "cirr" else load_fashioniq_triplets
        return load(folder, split)
    data = DataFolder.open(folder)
    triplets = data.triplets(split)
    if not triplets:
        known = ", ".join(sorted({triplet.split for triplet in data.triplets()})) or "none"
        raise InputError(
            f'{folder / "triplets.jsonl"} has no triplets of the split "{split}".', f"Splits there: {known}."
        )
    return triplets, data.images()


def _known(benchmark: str) -> str:
    if benchmark not in ("cirr", "fashioniq"):
        raise InputError(f'"{benchmark}" has no images to write about.', "Choose cirr or fashioniq.")
    return benchmark
