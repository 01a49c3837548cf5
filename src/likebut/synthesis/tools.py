"""Getting generator, retriever and vision tokens ready for a run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from likebut.generator.generator import ModificationGenerator
from likebut.images import SetAside
from likebut.retriever.retriever import Retriever
from likebut.synthesis.round_trip import RoundTrip
from likebut.synthesis.write import Tools
from likebut.training.data import open_features
from likebut.training.features import FeatureCache
from likebut.triplets import ImageRef


@dataclass(frozen=True)
class PreparedTools:
    """Tools with what they can be used on.

    Attributes:
        features: The tokens that the generator reads.
        set_aside: Images that cannot be used.
    """

    tools: Tools
    features: FeatureCache
    set_aside: list[SetAside]


def tools_identity(generator: ModificationGenerator, retriever: Retriever | None) -> dict[str, Any]:
    """Return generator, retriever and vision encoder as a run's settings name them."""
    return {
        "generator": {
            **generator.config.model_dump(),
            "weights_sha256": generator.weights_sha256,
            "vision": generator.vision.name,
            "preprocessing": generator.vision.preprocessing.fingerprint(),
        },
        "retriever": asdict(retriever.identity) if retriever else None,
    }


def prepare_tools(
    generator: ModificationGenerator,
    retriever: Retriever | None,
    images: Sequence[ImageRef],
    precision: Literal["fp32", "bf16"],
    feature_folder: Path | None = None,
) -> PreparedTools:
    """Return the tools of a run, every usable image's tokens in the cache.

    Args:
        generator: Writes; its language model is cast to ``precision``.
        retriever: Checks the round trip; None for no round trip.
        images: All images that pairs may name.
        precision: Of the language model.
        feature_folder: Where vision tokens are cached; in the user's cache folder if None.
    """
    generator.model.language.to(torch.bfloat16 if precision == "bf16" else torch.float32)
    features = open_features(generator.vision, feature_folder)
    set_aside = features.add(images, generator.vision)
    round_trip = None
    if retriever is not None:
        seen = open_features(retriever.vision, feature_folder)
        if seen.identity == features.identity:
            seen = features
        else:
            seen.add(images, retriever.vision)
        round_trip = RoundTrip(retriever, seen)
    return PreparedTools(Tools(generator, features, round_trip), features, set_aside)
