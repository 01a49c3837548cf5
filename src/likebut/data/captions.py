"""Captions of single images, which trainings learn from before they see pairs or triplets."""

from dataclasses import dataclass
from pathlib import Path

from likebut.data.folder import DataFolder


@dataclass(frozen=True, slots=True)
class Caption:
    """An image, by name, and the texts that describe it, of which training takes one at a time."""

    image: str
    texts: tuple[str, ...]


def read_captions(folder: Path, split: str) -> list[Caption]:
    """Return the captions of one split of a data folder, an image each; none if it has no ``captions.jsonl``.

    Raises:
        InputError: A line is wrong; the message names it.
    """
    return [Caption(image, tuple(texts)) for image, texts in DataFolder(folder).captions(split).items()]
