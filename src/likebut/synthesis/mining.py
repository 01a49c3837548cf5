"""Mining of image pairs to write modification texts for.

Shapes: n images, D width of the vectors.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from likebut.data.images import SkippedImage
from likebut.data.triplets import ImageRef
from likebut.errors import InputError
from likebut.features.cache import open_features
from likebut.features.neighbours import Neighbours, frozen_vectors, nearest_in_window, retriever_vectors
from likebut.features.token_source import TokenSource
from likebut.models.vision import VisionEncoder
from likebut.retriever.retriever import Retriever


class PairSettings(BaseModel):
    """Settings of pair mining.

    Attributes:
        neighbours: An image is paired with this many nearest neighbours inside the similarity window.
        min_similarity: Minimum cosine similarity; less similar images have too little in common.
        max_similarity: Maximum cosine similarity; more similar images are near-duplicates.
        limit: Maximum number of pairs, a random sample; None for all.
        neighbourhood: Number of neighbours recorded with each pair, for the round trip and as hard negatives.
        seed: Seed of the sample under ``limit``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    neighbours: int = Field(default=4, ge=1)
    min_similarity: float = Field(default=0.5, ge=-1.0, le=1.0)
    max_similarity: float = Field(default=0.98, ge=-1.0, le=1.0)
    limit: int | None = Field(default=None, ge=1)
    neighbourhood: int = Field(default=16, ge=1)
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True, slots=True)
class MinedPair:
    """A pair of images, by name, with their neighbours.

    Attributes:
        similarity: Cosine similarity of their vectors; None if unknown.
        reference_neighbours: The reference's nearest images inside the window, nearest first.
        target_neighbours: Those of the target.
    """

    reference: str
    target: str
    similarity: float | None = None
    reference_neighbours: tuple[str, ...] = ()
    target_neighbours: tuple[str, ...] = ()


def distinct_images(source: TokenSource, names: Sequence[str]) -> tuple[list[str], list[SkippedImage]]:
    """Return one name for each distinct content, and the images skipped as copies."""
    first: dict[str, str] = {}
    repeated = []
    for name in names:
        original = first.setdefault(source.content(name), name)
        if original != name:
            repeated.append(SkippedImage(name, f"Its content is that of {original}."))
    return list(first.values()), repeated


def mine_pairs(names: Sequence[str], vectors: Tensor, settings: PairSettings) -> list[MinedPair]:
    """Return pairs of similar images, no pair twice, in the order of ``names``.

    Args:
        names: Images of distinct content.
        vectors: (n, D) L2-normalised, in the same order.
        settings: Window and numbers.

    Raises:
        InputError: The window is empty, or no two images are inside it.
    """
    if settings.min_similarity > settings.max_similarity:
        raise InputError(
            f"min_similarity ({settings.min_similarity}) is above max_similarity ({settings.max_similarity}).",
            "Decrease --min-similarity or increase --max-similarity.",
            code="empty-similarity-window",
        )
    kept = max(settings.neighbours, settings.neighbourhood)
    neighbours = nearest_in_window(vectors, kept, settings.min_similarity, settings.max_similarity)
    found = _limited(_each_pair_once(neighbours, settings.neighbours), settings)
    if not found:
        raise InputError(
            f"No two of the {len(names)} images have a similarity between {settings.min_similarity} and "
            f"{settings.max_similarity}.",
            "Give more images, or a wider window with --min-similarity and --max-similarity.",
            code="no-pairs",
        )
    neighbour_names = _NeighbourNames(names, neighbours, settings.neighbourhood)
    return [
        MinedPair(
            names[first], names[second], round(similarity, 6), neighbour_names.of(first), neighbour_names.of(second)
        )
        for first, second, similarity in found
    ]


def _each_pair_once(neighbours: Neighbours, count: int) -> list[tuple[int, int, float]]:
    found: dict[tuple[int, int], tuple[int, int, float]] = {}
    for image in range(len(neighbours.indices)):
        for other, similarity in neighbours.of(image, count):
            found.setdefault((min(image, other), max(image, other)), (image, other, similarity))
    return list(found.values())


def _limited(pairs: list[tuple[int, int, float]], settings: PairSettings) -> list[tuple[int, int, float]]:
    if settings.limit is None or len(pairs) <= settings.limit:
        return pairs
    chosen = np.random.default_rng(settings.seed).choice(len(pairs), settings.limit, replace=False)
    return [pairs[index] for index in sorted(chosen.tolist())]


def with_neighbours(pairs: Sequence[MinedPair], names: Sequence[str], vectors: Tensor, count: int) -> list[MinedPair]:
    """Return ``pairs`` with the nearest neighbours of those that have none.

    Args:
        pairs: Pairs of images among ``names``.
        names: All images.
        vectors: (n, D) L2-normalised, in the same order.
        count: Number of neighbours.
    """
    row_of = {name: row for row, name in enumerate(names)}
    neighbour_names = _NeighbourNames(names, nearest_in_window(vectors, count, -1.0, 1.0), count)
    return [
        replace(
            pair,
            reference_neighbours=pair.reference_neighbours or neighbour_names.of(row_of[pair.reference]),
            target_neighbours=pair.target_neighbours or neighbour_names.of(row_of[pair.target]),
        )
        for pair in pairs
    ]


class _NeighbourNames:
    """Names of an image's neighbours, cached as an image is in several pairs."""

    def __init__(self, names: Sequence[str], neighbours: Neighbours, count: int) -> None:
        self._names, self._neighbours, self._count = names, neighbours, count
        self._cache: dict[int, tuple[str, ...]] = {}

    def of(self, image: int) -> tuple[str, ...]:
        if image not in self._cache:
            found = self._neighbours.of(image, self._count)
            self._cache[image] = tuple(self._names[index] for index, _ in found)
        return self._cache[image]


@dataclass(frozen=True)
class MinedPairs:
    """Mined pairs with a record of the mining.

    Attributes:
        images: Number of distinct images.
        repeated: Images skipped as copies of another.
        skipped: Images that cannot be read.
        vectors: Description of the vectors compared.
    """

    pairs: list[MinedPair]
    settings: PairSettings
    images: int
    repeated: list[SkippedImage]
    skipped: list[SkippedImage]
    vectors: dict[str, Any]

    def description(self) -> dict[str, Any]:
        """Return all but the pairs, as JSON."""
        similarities = sorted(pair.similarity for pair in self.pairs if pair.similarity is not None)
        return {
            "pairs": len(self.pairs),
            "images": self.images,
            "settings": self.settings.model_dump(),
            "vectors": self.vectors,
            "median_similarity": similarities[len(similarities) // 2] if similarities else None,
            "repeated": [image.to_json() for image in self.repeated],
            "skipped": [image.to_json() for image in self.skipped],
        }


def mine_images(
    images: Sequence[ImageRef],
    vision: VisionEncoder,
    settings: PairSettings,
    confusable: Retriever | None = None,
    feature_folder: Path | None = None,
) -> MinedPairs:
    """Mine pairs of similar images.

    Args:
        images: Images to pair.
        vision: Frozen vision encoder by whose features images are compared.
        settings: Window and numbers.
        confusable: A retriever by whose target embeddings images are compared instead, which pairs images that it may
            confuse; ``vision`` must be its encoder.
        feature_folder: Folder of the feature cache; by default the user's.

    Raises:
        InputError: No two images are inside the window.
    """
    features = open_features(vision, feature_folder)
    skipped = features.add(images, vision)
    names, repeated = distinct_images(features, [image.name for image in images if image.name in features])
    described: dict[str, Any] = {"vision": vision.name, "preprocessing": vision.preprocessing.fingerprint()}
    vectors: Tensor
    if confusable is None:
        vectors = frozen_vectors(features, names)
    else:
        vectors = retriever_vectors(features, names, confusable)
        described["retriever"] = asdict(confusable.identity)
    return MinedPairs(mine_pairs(names, vectors, settings), settings, len(names), repeated, skipped, described)
