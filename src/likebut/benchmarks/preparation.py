"""What an evaluation needs before it starts: every image in its place, and its vision tokens."""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from likebut.benchmarks.adapter import EncodedOnDemand, TokenSource
from likebut.benchmarks.benchmark import Benchmark
from likebut.errors import ImageError, InputError
from likebut.images import SetAside, decode
from likebut.progress import track
from likebut.retriever.retriever import Retriever
from likebut.training.data import open_features
from likebut.triplets import ImageRef

_DECODERS = 8
_BYTES_A_VALUE = 2  # float16


def require_images(benchmarks: Sequence[Benchmark], allow_missing: bool = False) -> list[SetAside]:
    """Check that every image is there.

    Args:
        benchmarks: The benchmark, or its categories.
        allow_missing: Whether to go on without the missing ones.

    Returns:
        The missing images, none unless they are allowed.

    Raises:
        InputError: Images are missing; the message counts them and names the first.
    """
    missing = {image.name: image for benchmark in benchmarks for image in benchmark.missing_images()}
    if missing and not allow_missing:
        needed = len(needed_images(benchmarks))
        first = next(iter(missing.values()))
        raise InputError(
            f"{len(missing)} of the {needed} images of {benchmarks[0].title} are missing. {first.reason}",
            "Put them there. `likebut evaluate` lists all with --list-missing and does without with --allow-missing.",
        )
    return list(missing.values())


def needed_images(benchmarks: Sequence[Benchmark]) -> list[ImageRef]:
    """Return the images that an evaluation of all parts reads, each once."""
    return list({image.name: image for benchmark in benchmarks for image in benchmark.needed_images()}.values())


def cached_tokens(
    retriever: Retriever, images: Sequence[ImageRef], folder: Path | None = None, batch_size: int = 32
) -> tuple[TokenSource, list[SetAside]]:
    """Compute the vision tokens of images that a cache lacks.

    Args:
        retriever: Whose vision encoder computes them.
        images: Images whose files exist.
        folder: Where feature caches live; in the user's cache folder if None.
        batch_size: Images encoded at once.

    Returns:
        The cache, and the images that cannot be used.

    Raises:
        InputError: The tokens would not fit on the disk.
    """
    cache = open_features(retriever.vision, folder)
    size = len(cache.missing(images)) * retriever.vision.tokens * retriever.vision.width * _BYTES_A_VALUE
    free = shutil.disk_usage(cache.folder).free
    if size > free:
        raise InputError(
            f"The images' vision tokens take {size / 1e9:.1f} GB, and {cache.folder} has {free / 1e9:.1f} GB left.",
            "Keep them elsewhere with --features FOLDER; what only measures can do without them, with --no-cache.",
        )
    return cache, cache.add(images, retriever.vision, batch_size, retriever.device)


def uncached_tokens(retriever: Retriever, images: Sequence[ImageRef]) -> tuple[TokenSource, list[SetAside]]:
    """Decode every image once to find those that cannot be used; their tokens are computed when asked for."""
    with track("checking images", total=len(images), unit="images") as meter, ThreadPoolExecutor(_DECODERS) as pool:
        set_aside = []
        for fault in pool.map(_fault, images):
            set_aside += [fault] if fault else []
            meter.advance()
    return EncodedOnDemand(retriever, {image.name: image for image in images}), set_aside


def _fault(image: ImageRef) -> SetAside | None:
    try:
        decode(image.path, least_side=32)
    except ImageError as error:
        return SetAside(image.name, error.problem)
    return None
