"""A retriever whose embeddings can be computed by hand: they depend on colours only."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

TOKENS, WIDTH = 2, 8
MAX_WORDS = 30
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


@dataclass(frozen=True)
class FakeIdentity:
    model: str = "fake/colours"
    weights_sha256: str = "0" * 64
    vision: str = "mean-colour"
    preprocessing: str = "none"


def unit(vector: Sequence[float] | npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    values = np.asarray(vector, dtype=np.float32)
    return values / np.linalg.norm(values)


def colour_direction(colour: Sequence[float]) -> npt.NDArray[np.float32]:
    """The mean colour in the first three places, and a constant in the fourth so that black has a direction."""
    return unit([*(channel / 255 for channel in colour), 0.1, 0, 0, 0, 0])


def text_direction(text: str) -> npt.NDArray[np.float32]:
    colours = [COLOURS[word] for word in text.split() if word in COLOURS] or [(0, 0, 0)]
    return colour_direction(np.mean(colours, axis=0))


@dataclass
class FakeRetriever:
    """Embeds an image as its mean colour and the colour of its corner, a text as the colours it names."""

    identity: FakeIdentity = field(default_factory=FakeIdentity)
    query_tokens: int = TOKENS
    embedding_size: int = WIDTH
    embedded: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def embed_images(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        with self._lock:
            self.embedded += len(images)
        return np.stack([self._tokens(image) for image in images])

    def _tokens(self, image: Image.Image) -> npt.NDArray[np.float32]:
        pixels = np.asarray(image, dtype=np.float32)
        return np.stack([colour_direction(pixels.mean(axis=(0, 1))), colour_direction(pixels[0, 0])])

    def embed_queries(self, images: Sequence[Image.Image], texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.stack(
            [unit(self._tokens(image)[0] + 2 * text_direction(text)) for image, text in zip(images, texts, strict=True)]
        )

    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.stack([text_direction(text) for text in texts])

    def is_truncated(self, text: str) -> bool:
        return len(text.split()) > MAX_WORDS
