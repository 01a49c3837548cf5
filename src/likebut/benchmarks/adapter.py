"""A retriever as the two functions that an evaluation asks for."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from likebut.benchmarks.layout import require_choice
from likebut.images import decode
from likebut.retriever.retriever import Retriever
from likebut.triplets import ImageRef, Query

QUERY_MODES = ("composed", "text", "image")
"""What of a query the retriever is shown: reference image and text, the text alone, or the image alone."""


class TokenSource(Protocol):
    """Whatever hands out vision tokens by image name: the feature cache, or :class:`EncodedOnDemand`."""

    def tokens(self, names: Sequence[str]) -> Tensor:
        """Return the (n, T, W) tokens of the images called ``names``, in that order."""


class EncodedOnDemand:
    """Vision tokens computed each time they are asked for: for galleries whose tokens would fill the disk.

    Args:
        retriever: Whose frozen vision encoder computes them.
        images: Every image by name.
    """

    def __init__(self, retriever: Retriever, images: Mapping[str, ImageRef]) -> None:
        self._retriever, self._images = retriever, images

    def tokens(self, names: Sequence[str]) -> Tensor:
        """Return the (n, T, W) tokens of the images called ``names``, in that order.

        Raises:
            ImageError: An image cannot be used.
        """
        different = list(dict.fromkeys(names))
        encoded = self._retriever.vision_tokens([decode(self._images[name].path) for name in different])
        return encoded[[different.index(name) for name in names]]


class RetrieverAdapter:
    """Embeds a benchmark's images and queries with a retriever, in eval mode and without gradients.

    Args:
        retriever: The retriever.
        tokens: Where its vision tokens come from.
        query_mode: One of :data:`QUERY_MODES`.
    """

    def __init__(self, retriever: Retriever, tokens: TokenSource, query_mode: str = "composed") -> None:
        self._retriever, self._tokens = retriever, tokens
        self._query_mode = require_choice(query_mode, QUERY_MODES, "query mode")

    def embed_gallery(self, images: list[ImageRef]) -> npt.NDArray[np.float32]:
        """Return (n, N, E) target embeddings of length 1."""
        tokens = self._tokens.tokens([image.name for image in images])
        with _in_eval_mode(self._retriever.module):
            return _as_array(self._retriever.embed_image_tokens(tokens))

    def embed_queries(self, queries: list[Query]) -> npt.NDArray[np.float32]:
        """Return (n, E) query embeddings of length 1."""
        with _in_eval_mode(self._retriever.module):
            return self._embed_queries(queries, [query.modification for query in queries])

    def _embed_queries(self, queries: list[Query], texts: list[str]) -> npt.NDArray[np.float32]:
        if self._query_mode == "text":
            return self._retriever.embed_texts(texts)
        tokens = self._tokens.tokens([query.reference for query in queries])
        if self._query_mode == "image":
            targets = self._retriever.embed_image_tokens(tokens)
            return _as_array(functional.normalize(targets.mean(dim=1), dim=-1))
        return _as_array(self._retriever.embed_query_tokens(tokens, texts))


@contextmanager
def _in_eval_mode(module: nn.Module) -> Iterator[None]:
    """Switch dropout off while the block runs: a retriever may be evaluated in the midst of its training."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _as_array(embeddings: Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = embeddings.to(torch.float32).cpu().numpy()
    return array
