"""Measuring how well a generator's modification texts are grounded in the images, on the drawings or on clothing.

The texts of a data folder's pairs are parsed into claimed changes, which are compared with the true ones. The
*shuffled-image control* assigns the same texts to other pairs: it scores what the texts' language alone would earn.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Protocol

from likebut.data.folder import DataFolder
from likebut.data.triplets import ImageRef
from likebut.errors import InputError
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.research.clothing import grounding as clothing
from likebut.research.reports.contents import GroundingResult, WrittenText
from likebut.research.sample_data import grounding as drawings
from likebut.research.sample_data.attributes import changes_between
from likebut.research.writing import open_tokens, write_modifications

Values = Mapping[str, str]
"""Attribute → value of one image, as in ``attributes.jsonl``."""

PAIRS = 400
SAMPLES = 12
GREEDY = Decoding(method="greedy", repetition_penalty=1.0, max_new_tokens=32)


class GroundingMetrics(Protocol):
    """Metrics from 0 to 1."""

    @property
    def precision(self) -> float:
        """The fraction of claims that are true."""

    @property
    def recall(self) -> float:
        """The fraction of true changes that are claimed."""

    @property
    def f1(self) -> float:
        """Their harmonic mean."""


@dataclass(frozen=True)
class GroundingScorer:
    """Scores texts about one kind of image.

    Attributes:
        measure: Returns metrics over ``(reference, target, text)`` rows.
        changes: Returns the true changes from reference to target.
        count: Returns, for reference, target and text, the number of correct claims and of all claims.
    """

    measure: Callable[[Iterable[tuple[Values, Values, str]]], GroundingMetrics]
    changes: Callable[[Values, Values], Mapping[str, str]]
    count: Callable[[Values, Values, str], tuple[int, int]]


DRAWINGS = GroundingScorer(drawings.measure_grounding, changes_between, drawings.count_claims)
PHOTOGRAPHS = GroundingScorer(clothing.measure_clothing_grounding, clothing.true_changes, clothing.count_claims)


def scorer_for(attributes: Iterable[Values]) -> GroundingScorer:
    """Return the scorer for images with these attributes: photographs of clothing, or the sample's drawings."""
    needed = set(clothing.ATTRIBUTES)
    return PHOTOGRAPHS if all(values.keys() >= needed for values in attributes) else DRAWINGS


def measure_generator(
    generator: ModificationGenerator,
    data: DataFolder,
    feature_folder: Path | None = None,
    split: str = "test",
    pairs: int = PAIRS,
    decoding: Decoding = GREEDY,
) -> tuple[GroundingResult, list[WrittenText]]:
    """Return the grounding of a generator's texts on held-out pairs, and a random sample of the texts (seed 0).

    Args:
        generator: The generator.
        data: The sample's drawings, or photographs of clothing.
        feature_folder: Folder of the feature caches; in the user's cache folder if None.
        split: The split of the pairs.
        pairs: Maximum number of pairs.
        decoding: The decoding of the texts.

    Raises:
        InputError: An image has no file or no attributes, or no pair can be read.
    """
    chosen = list(_sample_pairs(data, split, pairs))
    attributes = _attributes_of(chosen, data)
    features = open_tokens(generator.vision, _names(chosen), data, feature_folder)
    images = data.images()
    skipped = features.skipped([images[name] for name in _names(chosen)])
    unusable = {image.name for image in skipped}
    usable = [pair for pair in chosen if not unusable.intersection(pair)]
    if not usable:
        raise InputError(
            f"No pair of images of {data.path} can be read.", "Replace the images.", code="no-usable-images"
        )
    texts = write_modifications(generator, usable, features, decoding)
    result, samples = _measure(usable, texts, attributes, images)
    return replace(result, skipped=tuple(skipped)), samples


def measure_own_texts(
    data: DataFolder, split: str = "test", pairs: int = PAIRS
) -> tuple[GroundingResult, list[WrittenText]]:
    """Return the grounding of the data folder's own texts, to compare a generator with.

    Raises:
        InputError: As for :func:`measure_generator`.
    """
    chosen = _sample_pairs(data, split, pairs)
    named, images = list(chosen), data.images()
    data.require(_names(named), images)
    return _measure(named, list(chosen.values()), _attributes_of(named, data), images)


def _sample_pairs(data: DataFolder, split: str, count: int) -> dict[tuple[str, str], str]:
    """Return a random sample of pairs, each with one of the folder's texts; it does not depend on the generator."""
    texts: dict[tuple[str, str], str] = {}
    for triplet in data.triplets(split):
        texts.setdefault((triplet.reference, triplet.target), triplet.modification)
    chosen = Random(0).sample(sorted(texts), min(count, len(texts)))
    return {pair: texts[pair] for pair in chosen}


def _attributes_of(pairs: Sequence[tuple[str, str]], data: DataFolder) -> dict[str, dict[str, str]]:
    """Return the attributes of every image of the folder, after checking that the pairs' images have some."""
    attributes = data.attributes()
    lacking = [name for name in _names(pairs) if name not in attributes]
    if lacking:
        raise InputError(
            f"{len(lacking)} of the images that {data.path} names have no attributes, {lacking[0]} first.",
            "Add them to attributes.jsonl.",
            code="missing-attributes",
        )
    return attributes


def _names(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return sorted({name for pair in pairs for name in pair})


def _measure(
    pairs: Sequence[tuple[str, str]],
    texts: list[str],
    attributes: Mapping[str, Values],
    images: Mapping[str, ImageRef],
) -> tuple[GroundingResult, list[WrittenText]]:
    scorer = scorer_for(attributes.values())
    shuffled = Random(1).sample(texts, len(texts))
    rows = [(attributes[reference], attributes[target]) for reference, target in pairs]
    written = scorer.measure((*row, text) for row, text in zip(rows, texts, strict=True))
    control = scorer.measure((*row, text) for row, text in zip(rows, shuffled, strict=True))
    result = GroundingResult(
        precision=100 * written.precision,
        recall=100 * written.recall,
        f1=100 * written.f1,
        shuffled_precision=100 * control.precision,
        shuffled_recall=100 * control.recall,
        shuffled_f1=100 * control.f1,
        pairs=len(pairs),
    )
    samples = []
    for (reference, target), (before, after), text in zip(pairs[:SAMPLES], rows, texts, strict=False):
        correct, claimed = scorer.count(before, after, text)
        samples.append(
            WrittenText(
                reference=images[reference].path,
                target=images[target].path,
                written=text,
                changes=[f"{name}: {value}" for name, value in scorer.changes(before, after).items()],
                right=correct,
                claimed=claimed,
            )
        )
    return result, samples
