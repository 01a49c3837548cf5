"""The vision tokens of the reference images asked with most recently: a person tries several texts on one picture."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

import torch
from PIL import Image
from torch import Tensor

from likebut.images import as_rgb


class RecentTokens:
    """Remembers tokens by the image's pixels; safe to use from several threads.

    Args:
        compute: Returns the (n, T, W) tokens of n images.
        capacity: How many images are remembered.
    """

    def __init__(self, compute: Callable[[Sequence[Image.Image]], Tensor], capacity: int = 32) -> None:
        self._compute, self._capacity = compute, capacity
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()
        self._lock = Lock()

    def of(self, images: Sequence[Image.Image]) -> Tensor:
        """Return the (n, T, W) tokens of ``images``, computing those alone that are not remembered."""
        images = [as_rgb(image) for image in images]  # a palette's pixels are numbers that say nothing by themselves
        keys = [_key(image) for image in images]
        with self._lock:
            found = {key: self._known[key] for key in keys if key in self._known}
        missing = {key: image for key, image in zip(keys, images, strict=True) if key not in found}
        if missing:
            found |= zip(missing, self._compute(list(missing.values())), strict=True)
        with self._lock:
            for key in keys:
                self._known[key] = found[key]
                self._known.move_to_end(key)
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)
        return torch.stack([found[key] for key in keys])


def _key(image: Image.Image) -> bytes:
    shape = f"{image.width} {image.height} ".encode()
    return hashlib.blake2b(shape + image.tobytes(), digest_size=16).digest()
