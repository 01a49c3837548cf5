"""Samples of what a generator writes about held-out pairs, drawn by lot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from likebut.data_folder import DataFolder
from likebut.errors import InputError
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.synthesis.blocklist import Blocklist
from likebut.training.data import open_features

WITHHELD = "(withheld: it has a word that nobody should be shown)"
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Sample:
    """A pair, what was written about it, and the data's own text.

    Attributes:
        reference: The image's name.
        target: Likewise.
        human: The data's modification text; None if it has none.
    """

    reference: str
    target: str
    written: str
    human: str | None


def draw_pairs(data: DataFolder, split: str, count: int, seed: int) -> dict[tuple[str, str], str | None]:
    """Return ``count`` pairs of a split's triplets, drawn by lot, each with the text of people if there is one.

    Raises:
        InputError: The split has fewer pairs; the message counts them.
    """
    data.queries(split)  # refuses a split that has none
    texts: dict[tuple[str, str], str | None] = {}
    for triplet in data.triplets(split):
        human = triplet.modification if triplet.meta.get("source", "human") == "human" else None
        pair = (triplet.reference, triplet.target)
        texts[pair] = texts.get(pair) or human
    pairs = sorted(texts)
    if len(pairs) < count:
        raise InputError(
            f'The split "{split}" of {data.path} has {len(pairs)} pairs, not {count}.', f"Give --count {len(pairs)}."
        )
    return {pair: texts[pair] for pair in Random(seed).sample(pairs, count)}


def write_samples(
    generator: ModificationGenerator,
    data: DataFolder,
    pairs: Mapping[tuple[str, str], str | None],
    decoding: Decoding,
    feature_folder: Path | None = None,
) -> list[Sample]:
    """Return what a generator writes about pairs; a text that nobody should be shown is withheld.

    Raises:
        InputError: An image has no file, or cannot be read.
    """
    names = sorted({name for pair in pairs for name in pair})
    features = open_features(generator.vision, feature_folder)
    set_aside = features.add(data.require(names, data.images()), generator.vision)
    if set_aside:
        raise InputError(f"{set_aside[0].name} cannot be used: {set_aside[0].reason}", "Replace the image.")
    blocklist, ordered = Blocklist.load(), list(pairs.items())
    samples: list[Sample] = []
    for start in range(0, len(ordered), _AT_ONCE):
        part = ordered[start : start + _AT_ONCE]
        references = features.tokens([reference for (reference, _), _ in part])
        targets = features.tokens([target for (_, target), _ in part])
        texts = generator.write_batch(references, targets, decoding)
        for ((reference, target), human), text in zip(part, texts, strict=True):
            shown = text if blocklist.find(text) is None else WITHHELD
            samples.append(Sample(reference, target, shown, human))
    return samples


def markdown_listing(samples: Sequence[Sample], heading: str) -> str:
    """Return the samples as a Markdown table below a line of what they are."""
    lines = [
        f"{heading}\n",
        "| | reference | target | the generator writes | the data's own text |",
        "|---:|---|---|---|---|",
    ]
    lines += [
        f"| {number} | {_cell(sample.reference)} | {_cell(sample.target)} | {_cell(sample.written)} | "
        f"{_cell(sample.human or '–')} |"
        for number, sample in enumerate(samples, start=1)
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
