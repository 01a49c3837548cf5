"""Reading what the sample says of its own pictures."""

from pathlib import Path

from likebut.files import read_jsonl

ATTRIBUTES_NAME = "attributes.jsonl"


def read_attributes(folder: Path) -> dict[str, dict[str, str]]:
    """Return what each picture of a sample shows: image name → attribute → value."""
    return {row["image"]: row["attributes"] for _, row in read_jsonl(folder / ATTRIBUTES_NAME)}
