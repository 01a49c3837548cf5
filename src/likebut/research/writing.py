"""Writing modification texts for given pairs of a data folder's images."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from likebut.data.folder import DataFolder
from likebut.features.cache import FeatureCache, open_features
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.models.vision import VisionEncoder


def open_tokens(
    vision: VisionEncoder, names: Iterable[str], data: DataFolder, feature_folder: Path | None
) -> FeatureCache:
    """Return the cache of vision tokens after adding the images called ``names``.

    Raises:
        InputError: An image has no file.
    """
    features, images = open_features(vision, feature_folder), data.images()
    features.add(data.require(sorted(set(names)), images), vision)
    return features


def write_modifications(
    generator: ModificationGenerator,
    pairs: Sequence[tuple[str, str]],
    features: FeatureCache,
    decoding: Decoding,
    batch_size: int = 64,
) -> list[str]:
    """Return one modification text for each (reference, target).

    Args:
        generator: The generator.
        pairs: Pairs of image names.
        features: A cache that contains their vision tokens.
        decoding: The decoding of the texts.
        batch_size: Pairs decoded at once.
    """
    texts: list[str] = []
    with torch.inference_mode():
        for start in range(0, len(pairs), batch_size):
            part = pairs[start : start + batch_size]
            references = features.tokens([reference for reference, _ in part])
            targets = features.tokens([target for _, target in part])
            texts += generator.write_batch(references, targets, decoding)
    return texts
