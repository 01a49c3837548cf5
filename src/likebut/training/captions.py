"""Captions of single images, which trainings learn from before they see pairs or triplets."""

from pathlib import Path

from likebut.data_folder import DataFolder
from likebut.training.caption_batches import Caption


def read_captions(folder: Path, split: str) -> list[Caption]:
    """Return the captions of one split of a data folder, an image each; none if it has no ``captions.jsonl``.

    Raises:
        InputError: A line is wrong; the message names it.
    """
    return [Caption(image, tuple(texts)) for image, texts in DataFolder(folder).captions(split).items()]
