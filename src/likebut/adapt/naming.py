"""Names for images without text, by a retriever that has learned the collection's own: self-training.

Only names that the collection uses are given, so that nothing is said of a milk carton that no title says. An image is
named by the named images around it, in the frozen features and in what the retriever makes of them, and by the
similarity of its embedding with that of each name's text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import normalize

from likebut.adapt.concepts import Concepts, Described
from likebut.features.neighbours import frozen_vectors
from likebut.features.token_source import TokenSource
from likebut.models.devices import ResolvedPrecision, autocast
from likebut.retriever.base import similarity
from likebut.retriever.retriever import Retriever

KEEP = 0.7
_BATCH = 64
_NEIGHBOURS = 10
_NEIGHBOUR_TEMPERATURE = 0.1
_PROPAGATION, _PROPAGATION_STEPS = 0.9, 30
_RIDGE, _RIDGE_TEMPERATURE = 0.1, 0.1
_TEMPERATURE = 0.05
_ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Named:
    """A name that was given, and how sure it is, from 0 to 1."""

    image: str
    name: str
    confidence: float


def name_images(
    retriever: Retriever | None,
    tokens: TokenSource,
    known: Concepts,
    images: Sequence[str],
    keep: float = KEEP,
    precision: ResolvedPrecision = "fp32",
) -> list[Named]:
    """Return names for the surest of ``images``.

    Args:
        retriever: Trained on ``known``; None to name by the frozen features alone, which takes seconds.
        tokens: Of all images.
        known: Images with names.
        images: Those without.
        keep: The part of each name's images that is kept, the surest first; of every name something is kept, or the
            commonest would drive out the rest.
        precision: Of the retriever's matrix products.
    """
    if not images or not known.named:
        return []
    vocabulary = sorted(known.named)
    labels = torch.tensor([label for label, name in enumerate(vocabulary) for _ in known.named[name]])
    named = [image for name in vocabulary for image in known.named[name]]
    frozen = frozen_vectors(tokens, [*named, *images])
    # What all images of a collection have in common distinguishes none of them.
    deviation = (frozen - frozen.mean(dim=0)) / (frozen.std(dim=0) + 1e-4)
    probabilities = _probabilities(normalize(deviation, dim=1), labels, len(vocabulary))
    if retriever is not None:
        with autocast(precision, retriever.device):
            targets = _targets(retriever, tokens, [*named, *images])
        texts = torch.from_numpy(retriever.embed_texts(vocabulary))
        by_text = (similarity(texts, targets[len(named) :]).T / _TEMPERATURE).softmax(dim=1)
        pooled = normalize(targets.mean(dim=1), dim=1)
        probabilities = (probabilities + _probabilities(pooled, labels, len(vocabulary)) + by_text) / 3
    best = probabilities.max(dim=1)
    found = [
        Named(image, known.of(known.named[vocabulary[label]][0]).names[0], float(sure))
        for image, label, sure in zip(images, best.indices.tolist(), best.values, strict=True)
    ]
    return _surest(found, keep)


def _probabilities(vectors: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return (n, count) probabilities of each name for the images after the first ``len(labels)``, which are named.

    The mean of label propagation over nearest neighbours (Zhou et al., "Learning with Local and Global Consistency",
    2004) and of ridge regression onto the names: the one follows clusters of images without text, the other does not
    follow them astray.

    Args:
        vectors: (named + n, D), L2-l2_normalise.
        labels: (named,) numbers of the names.
        count: How many names there are.
    """
    targets = functional.one_hot(labels, count).float()
    weights = _neighbour_weights(vectors)
    start = torch.cat([targets, targets.new_zeros(len(vectors) - len(labels), count)])
    spread = start
    for _ in range(_PROPAGATION_STEPS):
        spread = _PROPAGATION * torch.sparse.mm(weights, spread) + (1 - _PROPAGATION) * start
    spread = spread[len(labels) :]
    spread = spread / spread.sum(dim=1, keepdim=True).clamp(min=1e-9)
    named, unnamed = vectors[: len(labels)], vectors[len(labels) :]
    solved = torch.linalg.solve(named @ named.T + _RIDGE * torch.eye(len(named)), targets)
    regressed = (unnamed @ (named.T @ solved) / _RIDGE_TEMPERATURE).softmax(dim=1)
    mean: Tensor = (spread + regressed) / 2
    return mean


def _neighbour_weights(vectors: Tensor) -> Tensor:
    """Return the (n, n) sparse, symmetric, l2_normalise weights between nearest neighbours."""
    size = len(vectors)
    rows, columns, values = [], [], []
    for start in range(0, size, _ROWS_AT_ONCE):
        cosines = vectors[start : start + _ROWS_AT_ONCE] @ vectors.T
        own = torch.arange(len(cosines))
        cosines[own, own + start] = -2.0
        nearest = cosines.topk(min(_NEIGHBOURS, size - 1), dim=1)
        rows.append((own + start).repeat_interleave(nearest.indices.shape[1]))
        columns.append(nearest.indices.flatten())
        values.append((nearest.values / _NEIGHBOUR_TEMPERATURE).softmax(dim=1).flatten())
    one_way = torch.stack([torch.cat(rows), torch.cat(columns)])
    both = torch.cat([one_way, one_way.flip(0)], dim=1)
    weights = torch.cat(values).repeat(2) / 2
    degrees = torch.zeros(size).scatter_add(0, both[0], weights).clamp(min=1e-6)
    scaled = weights * (degrees[both[0]] * degrees[both[1]]).rsqrt()
    return torch.sparse_coo_tensor(both, scaled, (size, size), check_invariants=False).coalesce()


def as_described(named: Sequence[Named], known: Concepts) -> list[Described]:
    """Return the names as texts, trusted by their confidence, in the colours that ``known`` has for them."""
    colours = {each.names[0]: each.colour for each in known.images if each.names}
    return [
        Described(each.image, (each.name,), colour=colours.get(each.name, ""), weight=max(each.confidence, 0.05))
        for each in named
    ]


def trusted_names(found: Sequence[Named], written: Sequence[Named]) -> list[Named]:
    """Return what the retriever found and the generator wrote: what both say is sure, the rest half as sure.

    Two models that read the same images by different weights seldom make the same mistake.
    """
    by_image = {each.image: each for each in written}
    both = [
        replace(each, confidence=1.0 if by_image[each.image].name == each.name else each.confidence / 2)
        if each.image in by_image
        else replace(each, confidence=each.confidence / 2)
        for each in found
    ]
    known = {each.image for each in found}
    return [*both, *(replace(each, confidence=0.3) for each in written if each.image not in known)]


def _targets(retriever: Retriever, tokens: TokenSource, names: Sequence[str]) -> Tensor:
    """Return (n, N, E) target embeddings."""
    parts = [
        retriever.embed_image_tokens(tokens.tokens(names[start : start + _BATCH])).cpu()
        for start in range(0, len(names), _BATCH)
    ]
    return torch.cat(parts)


def _surest(found: Sequence[Named], keep: float) -> list[Named]:
    by_name: dict[str, list[Named]] = {}
    for each in found:
        by_name.setdefault(each.name, []).append(each)
    kept = {
        each.image
        for group in by_name.values()
        for each in sorted(group, key=lambda each: -each.confidence)[: max(1, round(keep * len(group)))]
    }
    return [each for each in found if each.image in kept]
