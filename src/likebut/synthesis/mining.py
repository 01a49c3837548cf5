"""Mining: which pairs of a folder's images are worth a modification text."""

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
    """How pairs are mined.

    Attributes:
        neighbours: Pairs that an image may begin: with its nearest neighbours inside the window.
        min_similarity: Images less similar than this (cosine) have nothing in common to start from.
        max_similarity: Images more similar than this are near-duplicates: nothing to write about.
        limit: At most this many pairs, chosen by ``seed``; None for all.
        neighbourhood: How many neighbours are recorded with each pair, for the round trip and as hard negatives.
        seed: Of the choice under ``limit``.
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
    """Two images, by name, between which something differs, and what lies around them.

    Attributes:
        similarity: Cosine of their vectors; None if it is not known.
        reference_neighbours: The reference's nearest images inside the window, the nearest first.
        target_neighbours: The target's.
    """

    reference: str
    target: str
    similarity: float | None = None
    reference_neighbours: tuple[str, ...] = ()
    target_neighbours: tuple[str, ...] = ()


def distinct_images(source: TokenSource, names: Sequence[str]) -> tuple[list[str], list[SkippedImage]]:
    """Return ``names`` with one name for each content, and those left out with the name they repeat."""
    first: dict[str, str] = {}
    repeated = []
    for name in names:
        original = first.setdefault(source.content(name), name)
        if original != name:
            repeated.append(SkippedImage(name, f"Its content is that of {original}."))
    return list(first.values()), repeated


def mine_pairs(names: Sequence[str], vectors: Tensor, settings: PairSettings) -> list[MinedPair]:
    """Return the pairs of ``names`` that are worth a text, no two images in two pairs, in the names' order.

    Args:
        names: n images of different content.
        vectors: (n, D), of length 1, in the same order.
        settings: How to choose.

    Raises:
        InputError: The window is empty, or no two images are inside it.
    """
    if settings.min_similarity > settings.max_similarity:
        raise InputError(
            f"The least similarity, {settings.min_similarity}, is above the greatest, {settings.max_similarity}.",
            "Give a smaller --min-similarity or a greater --max-similarity.",
        )
    kept = max(settings.neighbours, settings.neighbourhood)
    neighbours = nearest_in_window(vectors, kept, settings.min_similarity, settings.max_similarity)
    found = _limited(_each_pair_once(neighbours, settings.neighbours), settings)
    if not found:
        raise InputError(
            f"No two of the {len(names)} images have a similarity between {settings.min_similarity} and "
            f"{settings.max_similarity}.",
            "Give more images, or a wider window with --min-similarity and --max-similarity.",
        )
    around = _Neighbourhoods(names, neighbours, settings.neighbourhood)
    return [
        MinedPair(names[first], names[second], round(similarity, 6), around.of(first), around.of(second))
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
    """Return ``pairs``, those of them without neighbours now with the ``count`` images around them.

    Args:
        pairs: Their images are all among ``names``.
        names: n images.
        vectors: (n, D), of length 1, in the same order.
        count: How many.
    """
    row_of = {name: row for row, name in enumerate(names)}
    around = _Neighbourhoods(names, nearest_in_window(vectors, count, -1.0, 1.0), count)
    return [
        replace(
            pair,
            reference_neighbours=pair.reference_neighbours or around.of(row_of[pair.reference]),
            target_neighbours=pair.target_neighbours or around.of(row_of[pair.target]),
        )
        for pair in pairs
    ]


class _Neighbourhoods:
    """The names around an image, looked up once for all the pairs that it is in."""

    def __init__(self, names: Sequence[str], neighbours: Neighbours, count: int) -> None:
        self._names, self._neighbours, self._count = names, neighbours, count
        self._known: dict[int, tuple[str, ...]] = {}

    def of(self, image: int) -> tuple[str, ...]:
        if image not in self._known:
            found = self._neighbours.of(image, self._count)
            self._known[image] = tuple(self._names[index] for index, _ in found)
        return self._known[image]


@dataclass(frozen=True)
class MinedPairs:
    """Pairs, and what was done to find them.

    Attributes:
        images: How many different images were compared.
        repeated: Images left out because their content is another's.
        skipped: Images that cannot be used.
        vectors: What the images were compared by.
    """

    pairs: list[MinedPair]
    settings: PairSettings
    images: int
    repeated: list[SkippedImage]
    skipped: list[SkippedImage]
    vectors: dict[str, Any]

    def description(self) -> dict[str, Any]:
        """Return everything but the pairs, for the file of settings."""
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
    """Return the pairs of ``images`` that are worth a modification text.

    Args:
        images: Where to look.
        vision: The frozen encoder in whose features neighbours are near.
        settings: How to choose.
        confusable: If given, neighbours are near in this retriever's target embeddings instead, so that pairs are of
            images that it may confuse; ``vision`` must be its encoder.
        feature_folder: Where vision tokens are cached; in the user's cache folder if None.

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
