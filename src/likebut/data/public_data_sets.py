"""The datasets that likebut reads: their source, licence and layout on disk."""

import difflib
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, TypeAdapter

from likebut.errors import InputError


class DataSet(BaseModel):
    """A dataset that likebut reads.

    Attributes:
        name: Name on the command line.
        title: One-line description.
        source: Where to get it.
        licence: Licence of annotations and images.
        layout: Patterns of the required files.
        use: Command-line options that select it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    source: str
    licence: str
    layout: tuple[str, ...]
    use: str


def list_data_sets() -> list[DataSet]:
    """Return all datasets that likebut reads."""
    text = files("likebut.data").joinpath("public_data_sets.json").read_text(encoding="utf-8")
    return TypeAdapter(list[DataSet]).validate_json(text)


def find_data_set(name: str) -> DataSet:
    """Return the dataset ``name``.

    Raises:
        InputError: There is no such dataset; the message suggests the closest name.
    """
    known = {data_set.name: data_set for data_set in list_data_sets()}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
        raise InputError(f'There is no dataset "{name}".', hint, "unknown-dataset")
    return known[name]
