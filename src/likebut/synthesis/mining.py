"""Mining pairs from images, from pixels to the file of pairs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from likebut.images import SetAside
from likebut.retriever.retriever import Retriever
from likebut.synthesis.pairs import MinedPair, PairSettings, distinct_images, mine_pairs
from likebut.training.data import open_features
from likebut.training.frozen_vision import VisionEncoder
from likebut.training.image_vectors import frozen_vectors, retriever_vectors
from likebut.triplets import ImageRef


@dataclass(frozen=True)
class MinedPairs:
    """Pairs, and what was done to find them.

    Attributes:
        images: How many different images were compared.
        repeated: Images left out because their content is another's.
        set_aside: Images that cannot be used.
        vectors: What the images were compared by.
    """

    pairs: list[MinedPair]
    settings: PairSettings
    images: int
    repeated: list[SetAside]
    set_aside: list[SetAside]
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
            "set_aside": [image.to_json() for image in self.set_aside],
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
    set_aside = features.add(images, vision)
    names, repeated = distinct_images(features, [image.name for image in images if image.name in features])
    described: dict[str, Any] = {"vision": vision.name, "preprocessing": vision.preprocessing.fingerprint()}
    vectors: Tensor
    if confusable is None:
        vectors = frozen_vectors(features, names)
    else:
        vectors = retriever_vectors(features, names, confusable)
        described["retriever"] = asdict(confusable.identity)
    return MinedPairs(mine_pairs(names, vectors, settings), settings, len(names), repeated, set_aside, described)
