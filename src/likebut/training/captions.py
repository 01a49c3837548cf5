"""Captions of single images, which a generator learns from before it sees pairs."""

from pathlib import Path

from likebut.errors import InputError
from likebut.files import read_jsonl
from likebut.training.caption_batches import Caption

CAPTIONS_NAME = "captions.jsonl"


def read_captions(folder: Path, split: str) -> list[Caption]:
    """Return the captions of one split of a data folder, none if it has no ``captions.jsonl``.

    A line: ``{"split": "train", "image": name, "captions": ["…", …]}``.

    Raises:
        InputError: A line is wrong; the message names it.
    """
    path = folder / CAPTIONS_NAME
    if not path.is_file():
        return []
    found = []
    for number, row in read_jsonl(path):
        texts = row.get("captions")
        if not isinstance(row.get("image"), str) or not isinstance(row.get("split"), str):
            raise InputError(f'{path} line {number} lacks "image" or "split".', 'Write {"split": "train", "image": …}.')
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise InputError(f'{path} line {number}: "captions" is not a list of texts.', 'Write ["a red flower", …].')
        if row["split"] == split:
            found.append(Caption(row["image"], tuple(texts)))
    return found
