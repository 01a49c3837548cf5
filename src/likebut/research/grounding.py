"""How well texts are grounded: precision, recall and F1 of the attribute changes they claim."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol

from likebut.data.folder import DataFolder
from likebut.data.images import SkippedImage
from likebut.data.triplets import ImageRef
from likebut.errors import InputError
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.research.clothing.attributes import NONE
from likebut.research.clothing.claims import Claim, colours_of, new_claims
from likebut.research.demo.panels import write_for_pairs
from likebut.research.demo.training import Workplace, known_tokens
from likebut.research.reports.contents import GroundingResult, WrittenText
from likebut.research.sample_data.attributes import changes_between
from likebut.research.sample_data.parser import claimed_changes


@dataclass(frozen=True)
class Grounding:
    """Counts over many pairs of images, and what follows from them.

    Attributes:
        right: Changes that were claimed and true.
        claimed: Changes that were claimed.
        true: Changes that were true.
    """

    right: int
    claimed: int
    true: int

    @property
    def precision(self) -> float:
        """The share of claimed changes that are true; 0 where nothing is claimed."""
        return self.right / self.claimed if self.claimed else 0.0

    @property
    def recall(self) -> float:
        """The share of true changes that are claimed; 0 where nothing is true."""
        return self.right / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        total = self.claimed + self.true
        return 2 * self.right / total if total else 0.0


def measure_grounding(rows: Iterable[tuple[Mapping[str, str], Mapping[str, str], str]]) -> Grounding:
    """Return precision, recall and F1 over ``(reference, target, text)`` rows, micro-averaged.

    Args:
        rows: What can be seen and said of the reference and of the target (attribute → value, as in
            ``attributes.jsonl``), and the modification text. A change is an (attribute, new value) pair.
    """
    right = claimed = true = 0
    for reference, target, text in rows:
        claims, truth = claimed_changes(text, reference), set(changes_between(reference, target).items())
        right, claimed, true = right + len(claims & truth), claimed + len(claims), true + len(truth)
    return Grounding(right, claimed, true)


ATTRIBUTES = ("type", "colour", "pattern")
_CANNOT_BE_NAMED = ("other", NONE)


@dataclass(frozen=True)
class ClothingGrounding:
    """Counts over many pairs of photographs, and what follows from them.

    Attributes:
        supported: Claims that the target bears out.
        claimed: Claims.
        named: Changes that some claim names.
        true: Changes.
    """

    supported: int
    claimed: int
    named: int
    true: int

    @property
    def precision(self) -> float:
        """The share of claims that the target bears out; 0 where nothing is claimed."""
        return self.supported / self.claimed if self.claimed else 0.0

    @property
    def recall(self) -> float:
        """The share of changes that are named; 0 where nothing changes."""
        return self.named / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def true_changes(reference: Mapping[str, str], target: Mapping[str, str]) -> dict[str, str]:
    """Return type, dominant colour and pattern of the target, where they differ from the reference's."""
    return {
        name: target[name]
        for name in ATTRIBUTES
        if target[name] != reference[name] and target[name] not in _CANNOT_BE_NAMED
    }


def is_supported(claim: Claim, target: Mapping[str, str]) -> bool:
    """Return whether the target shows what is claimed: any of its colours will do, its type and its pattern."""
    shown = colours_of(target) if claim.attribute == "colour" else {target[claim.attribute]}
    return bool(claim.values & shown)


def measure_clothing_grounding(
    rows: Iterable[tuple[Mapping[str, str], Mapping[str, str], str]],
    attributes: tuple[str, ...] = ATTRIBUTES,
) -> ClothingGrounding:
    """Return precision, recall and F1 over ``(reference, target, text)`` rows, micro-averaged.

    Args:
        rows: Attribute → value of the reference and of the target, as in ``attributes.jsonl``, and the text.
        attributes: Which attributes count.
    """
    supported = claimed = named = true = 0
    for reference, target, text in rows:
        claims = {claim for claim in new_claims(text, reference) if claim.attribute in attributes}
        changes = {name: value for name, value in true_changes(reference, target).items() if name in attributes}
        supported += sum(is_supported(claim, target) for claim in claims)
        claimed += len(claims)
        named += sum(
            any(claim.attribute == name and value in claim.values for claim in claims)
            for name, value in changes.items()
        )
        true += len(changes)
    return ClothingGrounding(supported, claimed, named, true)


Values = Mapping[str, str]
"""Attribute → value of one image, as in ``attributes.jsonl``."""
_OF_PHOTOGRAPHS = {"type", "colour", "pattern"}


class Figures(Protocol):
    """QueryWeights from 0 to 1."""

    @property
    def precision(self) -> float:
        """The share of claims that are true."""

    @property
    def recall(self) -> float:
        """The share of changes that are claimed."""

    @property
    def f1(self) -> float:
        """Their harmonic mean."""


@dataclass(frozen=True)
class Reader:
    """Reads texts about one kind of image.

    Attributes:
        measure: Figures over ``(reference, target, text)`` rows.
        changes: What truly changes from reference to target.
        counts: For reference, target and text, how many claims are right, and how many there are.
    """

    measure: Callable[[Iterable[tuple[Values, Values, str]]], Figures]
    changes: Callable[[Values, Values], Mapping[str, str]]
    counts: Callable[[Values, Values, str], tuple[int, int]]


def reader_of(attributes: Iterable[Values]) -> Reader:
    """Return who reads texts about images with these attributes: photographs of clothing, or the sample's drawings."""
    return PHOTOGRAPHS if all(values.keys() >= _OF_PHOTOGRAPHS for values in attributes) else DRAWINGS


def _count_of_drawings(reference: Values, target: Values, text: str) -> tuple[int, int]:
    claims = claimed_changes(text, reference)
    return len(claims & set(changes_between(reference, target).items())), len(claims)


def _count_of_photographs(reference: Values, target: Values, text: str) -> tuple[int, int]:
    claims = new_claims(text, reference)
    return sum(is_supported(claim, target) for claim in claims), len(claims)


DRAWINGS = Reader(measure_grounding, changes_between, _count_of_drawings)
PHOTOGRAPHS = Reader(measure_clothing_grounding, true_changes, _count_of_photographs)

PAIRS = 400
SAMPLES = 12
GREEDY = Decoding(method="greedy", repetition_penalty=1.0, max_new_tokens=32)


def measure_truthfulness(
    generator: ModificationGenerator,
    place: Workplace,
    split: str = "test",
    pairs: int = PAIRS,
    decoding: Decoding = GREEDY,
) -> tuple[GroundingResult, list[WrittenText]]:
    """Return how far written texts are true on held-out pairs, and samples of them drawn by lot (seed 0).

    The blind generator is the same one shown other pairs' images, so that it knows the language and not the case.

    Args:
        generator: Writes.
        place: Where the data lies: the sample's drawings, or photographs of clothing.
        split: Whose pairs.
        pairs: How many at most.
        decoding: How it writes.

    Raises:
        InputError: An image has no file or no attributes, or no pair can be read.
    """
    chosen = list(_drawn(place.data, split, pairs))
    seen = _attributes_of(chosen, place.data)
    usable, skipped = _usable(chosen, generator, place)
    texts = write_for_pairs(generator, usable, place, decoding)
    result, samples = _measure(usable, texts, seen, place.data.images())
    return replace(result, skipped=skipped), samples


def measure_own_texts(
    data: DataFolder, split: str = "test", pairs: int = PAIRS
) -> tuple[GroundingResult, list[WrittenText]]:
    """Return the same of the data folder's own texts: what a generator's figures are to be compared with.

    Raises:
        InputError: As for :func:`measure_truthfulness`.
    """
    chosen = _drawn(data, split, pairs)
    named, images = list(chosen), data.images()
    data.require(_names(named), images)
    return _measure(named, list(chosen.values()), _attributes_of(named, data), images)


def _drawn(data: DataFolder, split: str, count: int) -> dict[tuple[str, str], str]:
    """Return pairs drawn by lot, the same for a generator and for the folder's own texts, with one of those each."""
    texts: dict[tuple[str, str], str] = {}
    for triplet in data.triplets(split):
        texts.setdefault((triplet.reference, triplet.target), triplet.modification)
    chosen = Random(0).sample(sorted(texts), min(count, len(texts)))
    return {pair: texts[pair] for pair in chosen}


def _usable(
    pairs: Sequence[tuple[str, str]], generator: ModificationGenerator, place: Workplace
) -> tuple[list[tuple[str, str]], tuple[SkippedImage, ...]]:
    """Return the pairs whose images can be read, and the images that cannot."""
    features = known_tokens(generator.vision, _names(pairs), place)
    images = place.data.images()
    skipped = features.skipped([images[name] for name in _names(pairs)])
    bad = {image.name for image in skipped}
    usable = [pair for pair in pairs if not bad.intersection(pair)]
    if not usable:
        raise InputError(f"Of {place.data.path} no pair of images can be read.", "Replace the images.")
    return usable, tuple(skipped)


def _attributes_of(pairs: Sequence[tuple[str, str]], data: DataFolder) -> dict[str, dict[str, str]]:
    """Return what every image of the folder shows, those of the pairs among them."""
    seen = data.attributes()
    lacking = [name for name in _names(pairs) if name not in seen]
    if lacking:
        raise InputError(
            f"{len(lacking)} of the images that {data.path} names have no attributes, {lacking[0]} first.",
            "Add them to attributes.jsonl.",
        )
    return seen


def _names(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return sorted({name for pair in pairs for name in pair})


def _measure(
    pairs: Sequence[tuple[str, str]],
    texts: list[str],
    seen: Mapping[str, Mapping[str, str]],
    images: Mapping[str, ImageRef],
) -> tuple[GroundingResult, list[WrittenText]]:
    reader = reader_of(seen.values())
    shuffled = Random(1).sample(texts, len(texts))
    sighted = reader.measure((seen[r], seen[t], text) for (r, t), text in zip(pairs, texts, strict=True))
    blind = reader.measure((seen[r], seen[t], text) for (r, t), text in zip(pairs, shuffled, strict=True))
    result = GroundingResult(
        precision=100 * sighted.precision,
        recall=100 * sighted.recall,
        f1=100 * sighted.f1,
        blind_precision=100 * blind.precision,
        blind_recall=100 * blind.recall,
        blind_f1=100 * blind.f1,
        pairs=len(pairs),
    )
    return result, _samples(pairs[:SAMPLES], texts[:SAMPLES], seen, reader, images)


def _samples(
    pairs: Sequence[tuple[str, str]],
    texts: Sequence[str],
    seen: Mapping[str, Mapping[str, str]],
    reader: Reader,
    images: Mapping[str, ImageRef],
) -> list[WrittenText]:
    samples = []
    for (reference, target), text in zip(pairs, texts, strict=True):
        right, claimed = reader.counts(seen[reference], seen[target], text)
        samples.append(
            WrittenText(
                reference=images[reference].path,
                target=images[target].path,
                written=text,
                changes=[f"{name}: {value}" for name, value in reader.changes(seen[reference], seen[target]).items()],
                right=right,
                claimed=claimed,
            )
        )
    return samples
