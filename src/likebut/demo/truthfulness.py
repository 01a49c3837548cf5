"""How far what a generator writes is true, beside a generator that is shown the wrong images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from likebut.data_folder import DataFolder
from likebut.demo.readers import Reader, reader_of
from likebut.demo.show import write_for_pairs
from likebut.demo.training import Workplace, known_tokens
from likebut.errors import InputError
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.images import SetAside
from likebut.reports.contents import GroundingResult, WrittenText
from likebut.triplets import ImageRef

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
    usable, set_aside = _usable(chosen, generator, place)
    texts = write_for_pairs(generator, usable, place, decoding)
    result, samples = _measure(usable, texts, seen, place.data.images())
    return replace(result, set_aside=set_aside), samples


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
) -> tuple[list[tuple[str, str]], tuple[SetAside, ...]]:
    """Return the pairs whose images can be read, and the images that cannot."""
    features = known_tokens(generator.vision, _names(pairs), place)
    images = place.data.images()
    set_aside = features.set_aside([images[name] for name in _names(pairs)])
    bad = {image.name for image in set_aside}
    usable = [pair for pair in pairs if not bad.intersection(pair)]
    if not usable:
        raise InputError(f"Of {place.data.path} no pair of images can be read.", "Replace the images.")
    return usable, tuple(set_aside)


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
