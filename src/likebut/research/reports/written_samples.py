"""A random sample of pairs with the generator's texts: as one image for the documentation, and as Markdown."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw

from likebut.data.folder import DataFolder
from likebut.errors import InputError, LikebutError
from likebut.features.cache import open_features
from likebut.files import write_bytes
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.research.reports.embedded_images import thumbnail
from likebut.research.reports.panels import load_font, wrapped
from likebut.research.writing import write_modifications
from likebut.synthesis.filters import Blocklist

MOST_BYTES = 1_500_000
WITHHELD = "(withheld: it contains a blocked word)"

_BATCH_SIZE = 16
_PAPER, _INK, _FAINT, _LINE = "#ffffff", "#1f2328", "#59636e", "#d0d7de"
_SIDES = (128, 112, 96, 80, 64)
_COLUMNS, _GAP, _EDGE, _TEXT_WIDTH, _SIZE, _LINE_HEIGHT = 2, 10, 20, 250, 13, 17


@dataclass(frozen=True)
class GridCell:
    """A pair of images with its texts; ``human`` may be empty."""

    reference: Path
    target: Path
    written: str
    human: str


def write_sample_grid(cells: Sequence[GridCell], path: Path, most_bytes: int = MOST_BYTES) -> int:
    """Draw pairs with their texts into a PNG file, atomically; returns its size in bytes.

    The thumbnails are reduced until the file is smaller than ``most_bytes``.

    Raises:
        InputError: There are no pairs, or an image cannot be read.
        LikebutError: The file is too large even with the smallest thumbnails.
    """
    if not cells:
        raise InputError("There are no samples to draw.", "Give at least one.", code="no-samples")
    for side in _SIDES:
        content = _encode_png(_draw_grid(cells, side))
        if len(content) < most_bytes:
            write_bytes(path, content)
            return len(content)
    raise LikebutError(
        f"{len(cells)} samples take {len(content)} bytes; {most_bytes} are allowed.",
        "Draw fewer samples.",
        code="too-large",
    )


def _encode_png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    # A palette of 256 colours saves two thirds of the bytes; dithering would lose that again.
    picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _draw_grid(cells: Sequence[GridCell], side: int) -> Image.Image:
    width, height = 2 * (side + _GAP) + _TEXT_WIDTH, max(side, _max_lines(side) * _LINE_HEIGHT) + _GAP
    lines = -(-len(cells) // _COLUMNS)
    size = (2 * _EDGE + _COLUMNS * width + (_COLUMNS - 1) * _EDGE, 2 * _EDGE + lines * height - _GAP)
    picture = Image.new("RGB", size, _PAPER)
    for number, cell in enumerate(cells):
        left = _EDGE + (number % _COLUMNS) * (width + _EDGE)
        _draw_cell(picture, cell, number + 1, (left, _EDGE + (number // _COLUMNS) * height), side)
    return picture


def _max_lines(side: int) -> int:
    return max(5, side // _LINE_HEIGHT)


def _draw_cell(picture: Image.Image, cell: GridCell, number: int, corner: tuple[int, int], side: int) -> None:
    left, top = corner
    draw = ImageDraw.Draw(picture)
    for column, path in enumerate((cell.reference, cell.target)):
        small, at = thumbnail(path, side), left + column * (side + _GAP)
        draw.rectangle([at - 1, top - 1, at + side, top + side], outline=_LINE)
        picture.paste(small, (at + (side - small.width) // 2, top + (side - small.height) // 2))
    written = wrapped(f"{number}  “{cell.written}”", load_font(_SIZE), _TEXT_WIDTH)
    human = wrapped(f"own text: “{cell.human}”", load_font(_SIZE), _TEXT_WIDTH) if cell.human else []
    room = _max_lines(side)
    lines = [(line, _INK) for line in _truncate(written, max(room - len(human), -(-room // 2)))]
    lines += [(line, _FAINT) for line in _truncate(human, room - len(lines))]
    for number, (line, colour) in enumerate(lines):
        corner_of_line = (left + 2 * (side + _GAP), top + number * _LINE_HEIGHT)
        draw.text(corner_of_line, line, fill=colour, font=load_font(_SIZE))


def _truncate(lines: list[str], limit: int) -> list[str]:
    return lines if len(lines) <= limit else [*lines[: limit - 1], lines[limit - 1] + " …"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A pair with the generator's text and the data's own.

    Attributes:
        reference: The name of the reference image.
        target: The name of the target image.
        written: The generator's text.
        human: The data's modification text, if any.
    """

    reference: str
    target: str
    written: str
    human: str | None


def sample_pairs(data: DataFolder, split: str, count: int, seed: int) -> dict[tuple[str, str], str | None]:
    """Return a random sample of a split's pairs, each with its human text if there is one.

    Raises:
        InputError: The split has fewer pairs; the message counts them.
    """
    data.queries(split)  # raises if the split has none
    texts: dict[tuple[str, str], str | None] = {}
    for triplet in data.triplets(split):
        human = triplet.modification if triplet.meta.get("source", "human") == "human" else None
        pair = (triplet.reference, triplet.target)
        texts[pair] = texts.get(pair) or human
    pairs = sorted(texts)
    if len(pairs) < count:
        raise InputError(
            f'The split "{split}" of {data.path} has {len(pairs)} pairs, not {count}.',
            f"Give --count {len(pairs)}.",
            code="too-few-pairs",
        )
    return {pair: texts[pair] for pair in Random(seed).sample(pairs, count)}


def write_samples(
    generator: ModificationGenerator,
    data: DataFolder,
    pairs: Mapping[tuple[str, str], str | None],
    decoding: Decoding,
    feature_folder: Path | None = None,
) -> list[Sample]:
    """Return a generator's texts for pairs; texts with a blocked word are withheld.

    Raises:
        InputError: An image has no file, or cannot be read.
    """
    names = sorted({name for pair in pairs for name in pair})
    features = open_features(generator.vision, feature_folder)
    skipped = features.add(data.require(names, data.images()), generator.vision)
    if skipped:
        raise InputError(
            f"{skipped[0].name} cannot be used: {skipped[0].reason}", "Replace the image.", code="unusable-image"
        )
    blocklist = Blocklist.load()
    texts = write_modifications(generator, list(pairs), features, decoding, _BATCH_SIZE)
    return [
        Sample(reference, target, text if blocklist.find(text) is None else WITHHELD, human)
        for ((reference, target), human), text in zip(pairs.items(), texts, strict=True)
    ]


def markdown_listing(samples: Sequence[Sample], heading: str) -> str:
    """Return the samples as a Markdown table below a heading."""
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
