"""The data sets that likebut can read: where they come from, their licences, how they must lie on disk."""

import difflib
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, TypeAdapter

from likebut.errors import InputError


class DataSet(BaseModel):
    """A data set that likebut can read.

    Attributes:
        name: Its name on the command line.
        title: What it is.
        source: Where to get it.
        licence: Of annotations and images.
        layout: The files that must be there, as patterns.
        use: How a command is told of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    source: str
    licence: str
    layout: tuple[str, ...]
    use: str


def list_data_sets() -> list[DataSet]:
    """Return every data set that likebut knows."""
    text = files("likebut.data").joinpath("public_data_sets.json").read_text(encoding="utf-8")
    return TypeAdapter(list[DataSet]).validate_json(text)


def find_data_set(name: str) -> DataSet:
    """Return the data set called ``name``.

    Raises:
        InputError: There is none; the message names the nearest.
    """
    known = {data_set.name: data_set for data_set in list_data_sets()}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
        raise InputError(f'likebut knows no data set "{name}".', hint)
    return known[name]
