"""Names for images without text, by a retriever that has learned the collection's own: self-training.

Only names that the collection uses are given, so that nothing is said of a milk carton that no title says. An image is
named where the retriever is sure: where the text's embedding and the named images around it agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from likebut.adapt.concepts import Concepts, Described
from likebut.retriever.retriever import Retriever
from likebut.retriever.scoring import similarity
from likebut.training.token_source import TokenSource

_BATCH = 64
_NEIGHBOURS = 5
_TEMPERATURE = 0.05


@dataclass(frozen=True, slots=True)
class Named:
    """A name that was given, and how sure it is, from 0 to 1."""

    image: str
    name: str
    confidence: float


def name_images(
    retriever: Retriever, tokens: TokenSource, known: Concepts, images: Sequence[str], keep: float = 0.8
) -> list[Named]:
    """Return names for the surest of ``images``.

    Args:
        retriever: Trained on ``known``.
        tokens: Of all images.
        known: Images with names.
        images: Those without.
        keep: The part of each name's images that is kept, the surest first; of every name something is kept, or the
            commonest would drive out the rest.
    """
    if not images or not known.named:
        return []
    vocabulary = sorted(known.named)
    labels = torch.tensor([vocabulary.index(name) for name in vocabulary for _ in known.named[name]])
    named = [image for name in vocabulary for image in known.named[name]]
    texts = torch.from_numpy(retriever.embed_texts(vocabulary))
    around = _targets(retriever, tokens, named)
    found: list[Named] = []
    for start in range(0, len(images), _BATCH):
        part = list(images[start : start + _BATCH])
        targets = _targets(retriever, tokens, part)
        by_text = similarity(texts, targets).T
        by_images = _votes(targets, around, labels, len(vocabulary))
        probabilities = ((by_text + by_images) / (2 * _TEMPERATURE)).softmax(dim=1)
        best = probabilities.max(dim=1)
        found += [
            Named(image, known.of(known.named[vocabulary[label]][0]).names[0], float(sure))
            for image, label, sure in zip(part, best.indices.tolist(), best.values, strict=True)
        ]
    return _surest(found, keep)


def as_described(named: Sequence[Named]) -> list[Described]:
    """Return the names as texts, trusted by their confidence."""
    return [Described(each.image, (each.name,), weight=max(each.confidence, 0.05)) for each in named]


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


def _votes(targets: Tensor, around: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return (n, count): for each name, the mean cosine of its nearest images (pooled embeddings) to each target."""
    pooled = torch.nn.functional.normalize(targets.mean(dim=1), dim=-1)
    cosines = pooled @ torch.nn.functional.normalize(around.mean(dim=1), dim=-1).T
    found = torch.full((len(targets), count), -1.0)
    for label in range(count):
        own = cosines[:, labels == label]
        found[:, label] = own.topk(min(_NEIGHBOURS, own.shape[1]), dim=1).values.mean(dim=1)
    return found


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
