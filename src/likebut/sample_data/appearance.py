"""Which pictures look the same: decided by pixels, whatever the options say."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

LEAST_DIFFERENCE = 0.2
"""Mean absolute difference (0 to 255) from which two pictures differ visibly; the least of our changes has 0.38."""

_THUMBNAIL = 28

Pixels = npt.NDArray[np.uint8]


def read_pixels(path: Path) -> Pixels:
    """Return a PNG's pixels, shape (height, width, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def differ(one: Pixels, other: Pixels) -> bool:
    """Return whether two pictures of one size differ visibly."""
    return float(np.abs(one.astype(np.int16) - other.astype(np.int16)).mean()) >= LEAST_DIFFERENCE


def look_alikes(paths: Sequence[Path]) -> list[set[int]]:
    """Return, for each picture, which others (by position) cannot be told from it.

    Means come first, over the whole picture and then over blocks: the mean difference of means never exceeds that of
    pixels, so no pair is lost, and only pictures of nearly one brightness are compared at all.
    """
    thumbnails = np.stack([_block_means(read_pixels(path)) for path in paths]) if paths else np.empty((0, 1))
    brightness = thumbnails.mean(axis=1)
    order = np.argsort(brightness, kind="stable")
    ends = np.searchsorted(brightness[order], brightness[order] + LEAST_DIFFERENCE, side="right")
    alike: list[set[int]] = [set() for _ in paths]
    for place, first in enumerate(order.tolist()):
        near = order[place + 1 : ends[place]]
        distances = np.abs(thumbnails[near] - thumbnails[first]).mean(axis=1)
        for second in near[distances < LEAST_DIFFERENCE].tolist():
            if not differ(read_pixels(paths[first]), read_pixels(paths[second])):
                alike[first].add(second)
                alike[second].add(first)
    return alike


def _block_means(pixels: Pixels) -> npt.NDArray[np.float32]:
    block = pixels.shape[0] // _THUMBNAIL
    blocks = pixels.reshape(_THUMBNAIL, block, _THUMBNAIL, block, 3)
    means: npt.NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means.reshape(-1)
