"""Images through the frozen vision encoder, in batches whose result does not depend on what else is in them."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from likebut.data.images import Preprocessing, SkippedImage, crop_square, decode, read_content
from likebut.data.triplets import ImageRef
from likebut.errors import ImageError, LikebutError
from likebut.features.content_hashes import Unread
from likebut.features.token_source import as_view
from likebut.models.devices import SingleThreadPool
from likebut.progress import track

_BATCHES_AHEAD = 2
# What a processor's caches hold between two layers; 32 images at once take twice as long.
_CPU_PART = 4


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """The tokens of a batch of images.

    Attributes:
        contents: Content of each row.
        tokens: (rows, T, W) float16.
        skipped: Content → reason, for images that could not be decoded.
        unread: Content → reason, for images whose file could not be read just now.
    """

    contents: list[str]
    tokens: NDArray[np.float16]
    skipped: dict[str, str]
    unread: dict[str, str]


_Pixels = Tensor | SkippedImage | Unread


def encode_in_batches(
    images: Sequence[tuple[str, ImageRef]],
    vision: Callable[[Tensor], Tensor],
    preprocessing: Preprocessing,
    batch_size: int,
) -> Iterator[EncodedBatch]:
    """Yield the tokens of ``images``, ``batch_size`` at a time, in their order.

    Every batch has the same shape: a damaged image keeps its place as zeros and the last batch is filled up with
    zeros. Matrix routines choose their order of summation by shape, so that with one shape an image's tokens are
    the same to the last bit whatever run it is part of.

    Args:
        images: (content, image), no content twice.
        vision: (B, 3, S, S) → (B, T, W).
        preprocessing: How an image becomes pixels.
        batch_size: B.
    """
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    workers = min(8, os.cpu_count() or 1)
    encode = _on_all_cores(vision)
    with ThreadPoolExecutor(workers) as pool, track("computing vision tokens", len(images), "images") as progress:
        ahead: deque[list[Future[_Pixels]]] = deque()
        for position, batch in enumerate(batches):
            while len(ahead) <= _BATCHES_AHEAD and position + len(ahead) < len(batches):
                upcoming = batches[position + len(ahead)]
                ahead.append([pool.submit(_pixels, image, content, preprocessing) for content, image in upcoming])
            pixels = [future.result() for future in ahead.popleft()]
            yield _encode(batch, pixels, encode, preprocessing.size, batch_size)
            progress.advance(len(batch))


def _pixels(image: ImageRef, content: str, preprocessing: Preprocessing) -> _Pixels:
    try:
        read = read_content(image.path)
    except ImageError as error:
        return Unread(error.problem)
    try:
        picture = decode(read)
        if image.crop is not None:
            picture = crop_square(picture, image.crop)
        return preprocessing(as_view(picture, image.view, content))
    except ImageError as error:
        return SkippedImage(image.name, error.problem)


def _encode(
    batch: Sequence[tuple[str, ImageRef]],
    pixels: Sequence[_Pixels],
    encode: Callable[[Tensor], Tensor],
    size: int,
    batch_size: int,
) -> EncodedBatch:
    stacked = torch.zeros(batch_size, 3, size, size)
    used: list[int] = []
    skipped: dict[str, str] = {}
    unread: dict[str, str] = {}
    for position, value in enumerate(pixels):
        if isinstance(value, SkippedImage):
            skipped[batch[position][0]] = value.reason
        elif isinstance(value, Unread):
            unread[batch[position][0]] = value.reason
        else:
            stacked[position] = value
            used.append(position)
    tokens = encode(stacked).to(torch.float16).cpu()[used]
    if not torch.isfinite(tokens).all():
        raise LikebutError("The vision encoder gave a token that float16 cannot hold.", "Check the encoder's weights.")
    return EncodedBatch([batch[position][0] for position in used], tokens.numpy(), skipped, unread)


def _on_all_cores(vision: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return ``vision`` for whole batches: on a processor in parts, each on a core of its own."""
    cores = SingleThreadPool()

    def encode_part(pixels: Tensor) -> Tensor:
        with torch.inference_mode():  # each thread's own
            return vision(pixels)

    def encode(pixels: Tensor) -> Tensor:
        prepared = _like_weights(pixels, vision)
        size = _CPU_PART if prepared.device.type == "cpu" else len(prepared)
        parts = [prepared[start : start + size] for start in range(0, len(prepared), size)]
        return torch.cat(cores.map(encode_part, parts))

    return encode


def _like_weights(pixels: Tensor, vision: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ``pixels`` on the device and in the precision of the encoder's weights, if it has any."""
    if isinstance(vision, torch.nn.Module):
        for weight in vision.parameters():
            return pixels.to(weight.device, weight.dtype)
    return pixels


def in_groups(batches: Iterator[EncodedBatch], size: int) -> Iterator[list[EncodedBatch]]:
    """Yield the batches, ``size`` at a time."""
    group: list[EncodedBatch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
