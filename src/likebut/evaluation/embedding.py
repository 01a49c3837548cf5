"""Embedding a benchmark's images and queries with a retriever, and preparing the vision tokens that it reads."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from likebut.data.images import SkippedImage, crop_square, decode
from likebut.data.triplets import ImageRef, Query
from likebut.errors import ImageError, InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.layout import require_choice
from likebut.features.cache import open_features
from likebut.features.token_source import TokenSource
from likebut.progress import track
from likebut.retriever.retriever import Retriever

QUERY_MODES = ("composed", "text", "image")
"""What the retriever reads of a query: reference image and modification text, the text only, or the image only."""

_DECODERS = 8
_BYTES_PER_VALUE = 2  # float16
_LEAST_SIDE = 32


class RetrieverAdapter:
    """Embeds a benchmark's images and queries with a retriever, in eval mode and without gradients.

    Args:
        retriever: The retriever.
        tokens: Source of its vision tokens.
        query_mode: One of :data:`QUERY_MODES`.
    """

    def __init__(self, retriever: Retriever, tokens: TokenSource, query_mode: str = "composed") -> None:
        self._retriever, self._tokens = retriever, tokens
        self._query_mode = require_choice(query_mode, QUERY_MODES, "query mode")

    def embed_gallery(self, images: list[ImageRef]) -> npt.NDArray[np.float32]:
        """Return L2-normalised target embeddings (n, N, E)."""
        tokens = self._tokens.tokens([image.name for image in images])
        with _eval_mode(self._retriever.module):
            return _to_array(self._retriever.embed_image_tokens(tokens))

    def embed_queries(self, queries: list[Query]) -> npt.NDArray[np.float32]:
        """Return L2-normalised query embeddings (n, E).

        A query with several reference images or modification texts is the normalised mean of its embeddings.
        """
        pairs = [self._pairs(query) for query in queries]
        references, texts = ([pair[side] for of_query in pairs for pair in of_query] for side in (0, 1))
        with _eval_mode(self._retriever.module):
            if self._query_mode == "text":
                embeddings = torch.from_numpy(self._retriever.embed_texts(texts))
            elif self._query_mode == "image":
                targets = self._retriever.embed_image_tokens(self._tokens.tokens(references))
                embeddings = functional.normalize(targets.mean(dim=1), dim=-1)
            else:
                embeddings = self._retriever.embed_query_tokens(self._tokens.tokens(references), texts)
        if len(texts) == len(queries):
            return _to_array(embeddings)
        parts = torch.split(embeddings, [len(of_query) for of_query in pairs])
        # A single embedding needs no mean, which would change its last bit.
        means = [part[0] if len(part) == 1 else functional.normalize(part.mean(dim=0), dim=-1) for part in parts]
        return _to_array(torch.stack(means))

    def _pairs(self, query: Query) -> list[tuple[str, str]]:
        """Return the (reference image, modification text) pairs to embed, without repeating what the mode ignores."""
        references = query.references if self._query_mode != "text" else query.references[:1]
        texts = query.modifications if self._query_mode != "image" else query.modifications[:1]
        return [(reference, text) for reference in references for text in texts]


class OnDemandTokens:
    """Vision tokens that are computed at each access, for galleries whose tokens would fill the disk.

    Args:
        retriever: Its frozen vision encoder computes them.
        images: Every image by name.
    """

    def __init__(self, retriever: Retriever, images: Mapping[str, ImageRef]) -> None:
        self._retriever, self._images = retriever, images

    def content(self, name: str) -> str:
        """Return the name: two names count as two images."""
        return name

    def knows(self, name: str) -> bool:
        """Return whether there is an image called ``name``."""
        return name in self._images

    def tokens(self, names: Sequence[str]) -> Tensor:
        """Return the tokens (n, T, W) of the images called ``names``, in that order.

        Raises:
            ImageError: An image cannot be used.
        """
        unique = list(dict.fromkeys(names))
        encoded = self._retriever.vision_tokens([_decoded(self._images[name]) for name in unique])
        return encoded[[unique.index(name) for name in names]]


def require_images(benchmarks: Sequence[Benchmark], allow_missing: bool = False) -> list[SkippedImage]:
    """Check that every image file exists.

    Args:
        benchmarks: The benchmark, or its categories.
        allow_missing: Whether to continue without the missing images.

    Returns:
        The missing images; empty unless they are allowed.

    Raises:
        InputError: Images are missing; the message counts them and names the first.
    """
    missing = {image.name: image for benchmark in benchmarks for image in benchmark.missing_images()}
    if missing and not allow_missing:
        first = next(iter(missing.values()))
        raise InputError(
            f"{len(missing)} of the {len(needed_images(benchmarks))} images of {benchmarks[0].title} are missing. "
            f"{first.reason}",
            "Add them. `likebut evaluate --list-missing` lists all, and --allow-missing evaluates without them.",
            code="missing-images",
        )
    return list(missing.values())


def needed_images(benchmarks: Sequence[Benchmark]) -> list[ImageRef]:
    """Return the images that an evaluation of all parts reads, each once."""
    return list({image.name: image for benchmark in benchmarks for image in benchmark.needed_images()}.values())


def cached_tokens(
    retriever: Retriever, images: Sequence[ImageRef], folder: Path | None = None, batch_size: int = 32
) -> tuple[TokenSource, list[SkippedImage]]:
    """Compute the vision tokens of images that the feature cache lacks.

    Args:
        retriever: Its vision encoder computes them.
        images: Images whose files exist.
        folder: Folder of the feature caches; in the user's cache folder if None.
        batch_size: Images encoded at once.

    Returns:
        The cache, and the images that cannot be used.

    Raises:
        InputError: The tokens would not fit on the disk.
    """
    cache = open_features(retriever.vision, folder)
    size = len(cache.missing(images)) * retriever.vision.tokens * retriever.vision.width * _BYTES_PER_VALUE
    free = shutil.disk_usage(cache.folder).free
    if size > free:
        raise InputError(
            f"The images' vision tokens take {size / 1e9:.1f} GB, and {cache.folder} has {free / 1e9:.1f} GB free.",
            "Store them elsewhere with --features FOLDER, or evaluate without storing them with --no-cache.",
            code="disk-full",
        )
    return cache, cache.add(images, retriever.vision, batch_size, retriever.device)


def uncached_tokens(retriever: Retriever, images: Sequence[ImageRef]) -> tuple[TokenSource, list[SkippedImage]]:
    """Decode every image once to find those that cannot be used; their tokens are computed at each access.

    Returns:
        The source of tokens, and the images that cannot be used.
    """
    skipped = []
    with track("checking images", total=len(images), unit="images") as meter, ThreadPoolExecutor(_DECODERS) as pool:
        for image in pool.map(_check_image, images):
            if image is not None:
                skipped.append(image)
            meter.advance()
    return OnDemandTokens(retriever, {image.name: image for image in images}), skipped


def _decoded(image: ImageRef) -> Image.Image:
    decoded = decode(image.path)
    return decoded if image.crop is None else crop_square(decoded, image.crop)


def _check_image(image: ImageRef) -> SkippedImage | None:
    try:
        if image.crop is None:
            decode(image.path, least_side=_LEAST_SIDE)
        else:
            _decoded(image)
    except ImageError as error:
        return SkippedImage(image.name, error.problem)
    return None


@contextmanager
def _eval_mode(module: nn.Module) -> Iterator[None]:
    """Switch dropout off in the block and restore each part's mode: a retriever is also evaluated during training."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _to_array(embeddings: Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = embeddings.to(torch.float32).cpu().numpy()
    return array
