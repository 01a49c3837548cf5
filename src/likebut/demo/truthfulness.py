"""How far what a generator writes is true, beside a generator that is shown the wrong images."""

from collections.abc import Sequence
from random import Random

from likebut.data_folder import DataFolder
from likebut.demo.readers import Reader, reader_of
from likebut.demo.show import write_for_pairs
from likebut.demo.training import Workplace
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.reports.contents import GroundingResult, WrittenText

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
    """
    triplets = place.data.triplets(split)
    different = sorted({(triplet.reference, triplet.target) for triplet in triplets})
    chosen = Random(0).sample(different, min(pairs, len(different)))
    return _measure(chosen, write_for_pairs(generator, chosen, place, decoding), place.data)


def measure_own_texts(
    data: DataFolder, split: str = "test", pairs: int = PAIRS
) -> tuple[GroundingResult, list[WrittenText]]:
    """Return the same of the data folder's own texts: what a generator's figures are to be compared with."""
    triplets = data.triplets(split)
    chosen = Random(0).sample(triplets, min(pairs, len(triplets)))
    return _measure(
        [(triplet.reference, triplet.target) for triplet in chosen],
        [triplet.modification for triplet in chosen],
        data,
    )


def _measure(
    pairs: Sequence[tuple[str, str]], texts: list[str], data: DataFolder
) -> tuple[GroundingResult, list[WrittenText]]:
    seen = data.attributes()
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
    return result, _samples(pairs[:SAMPLES], texts[:SAMPLES], seen, reader, data)


def _samples(
    pairs: Sequence[tuple[str, str]],
    texts: Sequence[str],
    seen: dict[str, dict[str, str]],
    reader: Reader,
    data: DataFolder,
) -> list[WrittenText]:
    images = data.images()
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
