"""Small folders of images with texts, for the tests of adapting."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from PIL import Image

COLOURS = {"red": (200, 30, 30), "green": (30, 170, 40), "blue": (30, 40, 200), "yellow": (230, 215, 40)}


def make_images(folder: Path, count: int, names: Sequence[str] | None = None) -> list[str]:
    """Write ``count`` images, each mostly of one colour; returns the colours in the order of the files."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = Random(0)
    colours = []
    for number in range(count):
        colour = generator.choice(list(COLOURS))
        image = Image.new("RGB", (48, 48), (generator.randrange(200, 256),) * 3)
        left, top = generator.randrange(10), generator.randrange(10)
        shade = tuple(max(0, min(255, part + generator.randrange(-15, 16))) for part in COLOURS[colour])
        image.paste(shade, (left, top, left + 34, top + 34))
        name = names[number] if names else f"IMG_{number:04d}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / name)
        colours.append(colour)
    return colours


def write_metadata(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write ``metadata.csv``."""
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def make_collection(folder: Path, count: int = 60) -> Path:
    """Write images with titles ("red box") and return the folder."""
    colours = make_images(folder, count)
    write_metadata(
        folder, [{"image": f"IMG_{n:04d}.png", "title": f"{colour} box"} for n, colour in enumerate(colours)]
    )
    return folder
