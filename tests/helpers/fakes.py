"""Models with known embeddings, so that every rank and metric can be computed by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likebut.data.triplets import ImageRef, Query
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.folder import PLAN


class KnownModel:
    """Scores each image, for each query, as it is told: images are unit vectors, queries are rows of scores.

    Args:
        scores: For each query's id, the score of each image; 0 for those left out.
    """

    def __init__(self, scores: Mapping[str, Mapping[str, float]]) -> None:
        self.scores = scores
        self.names = sorted({name for row in scores.values() for name in row})
        self.gallery_batches: list[int] = []
        self.query_batches: list[int] = []

    def embed_gallery(self, images: list[ImageRef]) -> npt.NDArray[np.float32]:
        self.gallery_batches.append(len(images))
        embeddings = np.zeros((len(images), 2, len(self.names)), dtype=np.float32)
        for row, image in enumerate(images):
            if image.name in self.names:
                embeddings[row, 0, self.names.index(image.name)] = 1
            embeddings[row, 1] = -1  # a second embedding that is never the better one
        return embeddings

    def embed_queries(self, queries: list[Query]) -> npt.NDArray[np.float32]:
        self.query_batches.append(len(queries))
        rows = [[self.scores[query.id].get(name, 0.0) for name in self.names] for query in queries]
        return np.array(rows, dtype=np.float32)


class RandomModel:
    """Gives every image and every query a vector of its own, whatever batch it comes in."""

    def __init__(self, seed: int = 0, width: int = 16, tokens: int = 3) -> None:
        self.seed, self.width, self.tokens = seed, width, tokens

    def embed_gallery(self, images: list[ImageRef]) -> npt.NDArray[np.float32]:
        return np.stack([self._vectors(image.name, self.tokens) for image in images])

    def embed_queries(self, queries: list[Query]) -> npt.NDArray[np.float32]:
        return np.stack([self._vectors(f"{query.id}/{query.reference}", 1)[0] for query in queries])

    def _vectors(self, name: str, count: int) -> npt.NDArray[np.float32]:
        generator = np.random.default_rng([self.seed, *name.encode()])
        vectors = generator.normal(size=(count, self.width))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors.astype(np.float32)


def query(number: int, target: str, reference: str = "r", **more: Any) -> Query:
    """Return a query whose reference is no candidate."""
    defaults: dict[str, Any] = {"targets": (target,), "excluded": (reference,)}
    return Query(id=str(number), reference=reference, modification="bluer", target=target, **(defaults | more))


def benchmark_of(gallery: Sequence[str], queries: Sequence[Query], **more: Any) -> Benchmark:
    """Return a benchmark in a data folder's manner whose image files do not exist."""
    names = dict.fromkeys([*gallery, *(each.reference for each in queries)])
    defaults: dict[str, Any] = {
        "plan": PLAN,
        "credits": {each.id: dict.fromkeys(each.targets, 1.0) for each in queries},
    }
    return Benchmark(
        name="folder",
        split="test",
        protocol="folder",
        gallery=list(gallery),
        queries=list(queries),
        images={name: ImageRef(name, Path(name)) for name in names},
        **(defaults | more),
    )
