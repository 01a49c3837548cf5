"""The words that texts about clothing are made of, as data in ``phrases.json``."""

from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, Field

_STRICT = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Noun(BaseModel):
    """What a type is called.

    Attributes:
        nouns: Its names, the plainest first.
        plural: Whether it takes no article: "trousers".
    """

    model_config = _STRICT
    nouns: tuple[str, ...]
    plural: bool = False


class Value(BaseModel):
    """How one value of an attribute is said.

    Attributes:
        plain: Its one wording in the plain register; empty if it cannot be asked for.
        adjectives: What stands before a noun: "striped".
        withs: What stands after "with": "stripes".
        clauses: What stands alone: "no sleeves".
        lost: What says that the reference's value is gone: "no stripes".
    """

    model_config = _STRICT
    plain: str = ""
    adjectives: tuple[str, ...] = ()
    withs: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class Scale(BaseModel):
    """Values from less to more, and the comparatives for a step either way."""

    model_config = _STRICT
    scale: tuple[str, ...]
    more: tuple[str, ...]
    less: tuple[str, ...]


class Phrases(BaseModel):
    """All of ``phrases.json``; the attributes' names are the keys of :attr:`values`."""

    model_config = _STRICT
    types: dict[str, Noun] = Field(alias="type")
    colours: dict[str, tuple[str, ...]] = Field(alias="colour")
    values: dict[str, dict[str, Value]]
    scales: dict[str, Scale] = Field(alias="longer")
    shades: tuple[tuple[str, ...], ...]
    openers: tuple[str, ...]
    contrasts: tuple[str, ...]
    as_type: tuple[str, ...] = Field(alias="as a type")
    joins: tuple[str, ...]


@cache
def load_phrases() -> Phrases:
    """Return the words that every text about clothing is made of."""
    return Phrases.model_validate_json(files("likebut.clothing").joinpath("phrases.json").read_text("utf-8"))
