"""Encoding images with the frozen vision encoder; an image's tokens do not depend on the rest of its batch."""

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
from likebut.data.views import as_view
from likebut.errors import ImageError, LikebutError
from likebut.features.content_hashes import Unread
from likebut.models.devices import SingleThreadPool
from likebut.progress import track

_BATCHES_AHEAD = 2
# Activations of four images fit in the CPU's caches between two layers; 32 images at once take twice as long.
_CPU_PART = 4


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """The tokens of a batch of images.

    Attributes:
        contents: Content id of each row.
        tokens: (rows, T, W) float16.
        skipped: Content id → reason, for images that could not be decoded.
        unread: Content id → reason, for files that could not be read for the moment.
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
    """Yield the tokens of ``images`` in order, ``batch_size`` at a time.

    Every batch has the same shape: skipped images and the end of the last batch are zeros. Matrix kernels choose their
    order of summation by shape, so with one shape an image's tokens are bit-identical in every run.

    Args:
        images: (content id, image), with unique content ids.
        vision: Maps (B, 3, S, S) to (B, T, W).
        preprocessing: Maps an image to pixels.
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
        decoded = decode(read)
        if image.crop is not None:
            decoded = crop_square(decoded, image.crop)
        return preprocessing(as_view(decoded, image.view, content))
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
        raise LikebutError(
            "The vision encoder gave NaN or Inf in float16.", "Check the encoder's weights.", "non-finite-tokens"
        )
    return EncodedBatch([batch[position][0] for position in used], tokens.numpy(), skipped, unread)


def _on_all_cores(vision: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return ``vision`` for batches; on a CPU a batch is split into parts that run on one core each."""
    cores = SingleThreadPool()

    def encode_part(pixels: Tensor) -> Tensor:
        with torch.inference_mode():  # the mode is per thread
            return vision(pixels)

    def encode(pixels: Tensor) -> Tensor:
        prepared = _like_weights(pixels, vision)
        size = _CPU_PART if prepared.device.type == "cpu" else len(prepared)
        parts = [prepared[start : start + size] for start in range(0, len(prepared), size)]
        return torch.cat(cores.map(encode_part, parts))

    return encode


def _like_weights(pixels: Tensor, vision: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ``pixels`` on the device and in the dtype of the encoder's weights, if it has any."""
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
