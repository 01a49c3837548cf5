"""How far what a generator writes is true, beside a generator that is shown the wrong images."""

from collections.abc import Sequence
from random import Random

from likebut.demo.show import write_for_pairs
from likebut.demo.training import Workplace
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.reports.contents import GroundingResult, WrittenText
from likebut.sample_data.attributes import changes_between
from likebut.sample_data.grounding import measure_grounding
from likebut.sample_data.parser import claimed_changes

PAIRS = 400
SAMPLES = 12
_DECODING = Decoding(method="greedy", repetition_penalty=1.0, max_new_tokens=32)


def measure_truthfulness(
    generator: ModificationGenerator, place: Workplace, split: str = "test", pairs: int = PAIRS
) -> tuple[GroundingResult, list[WrittenText]]:
    """Return how far written texts are true on held-out pairs, and samples of them drawn by lot (seed 0).

    The blind generator is the same one shown other pairs' images, so that it knows the language and not the case.

    Args:
        generator: Writes.
        place: Where the sample data lies.
        split: Whose pairs.
        pairs: How many at most.
    """
    triplets = place.data.triplets(split)
    different = sorted({(triplet.reference, triplet.target) for triplet in triplets})
    chosen = Random(0).sample(different, min(pairs, len(different)))
    seen = place.data.attributes()
    texts = write_for_pairs(generator, chosen, place, _DECODING)
    shuffled = Random(1).sample(texts, len(texts))
    sighted = measure_grounding((seen[r], seen[t], text) for (r, t), text in zip(chosen, texts, strict=True))
    blind = measure_grounding((seen[r], seen[t], text) for (r, t), text in zip(chosen, shuffled, strict=True))
    result = GroundingResult(
        precision=100 * sighted.precision,
        recall=100 * sighted.recall,
        f1=100 * sighted.f1,
        blind_precision=100 * blind.precision,
        blind_recall=100 * blind.recall,
        blind_f1=100 * blind.f1,
        pairs=len(chosen),
    )
    return result, _samples(chosen[:SAMPLES], texts[:SAMPLES], seen, place)


def _samples(
    pairs: Sequence[tuple[str, str]], texts: Sequence[str], seen: dict[str, dict[str, str]], place: Workplace
) -> list[WrittenText]:
    images = place.data.images()
    samples = []
    for (reference, target), text in zip(pairs, texts, strict=True):
        truth = changes_between(seen[reference], seen[target])
        claims = claimed_changes(text, seen[reference])
        samples.append(
            WrittenText(
                reference=images[reference].path,
                target=images[target].path,
                written=text,
                changes=[f"{name}: {value}" for name, value in truth.items()],
                right=len(claims & set(truth.items())),
                claimed=len(claims),
            )
        )
    return samples
