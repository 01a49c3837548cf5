"""The attributes of the drawings: their values, the words for them, and the drawing options that render them.

A style is data in ``styles/*.json``, in which values that look alike at 224 pixels are merged and colours that a viewer
cannot distinguish are left out. :class:`Scene` is the content of one drawing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict

STYLE_NAMES = ("sprouts", "voxel-art", "planets")
NONE = "none"
MOODS = ("order", "with", "state")


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Value(_Data):
    """One value of an attribute.

    Attributes:
        options: The drawing options that render it; ``$name`` is replaced by the fill of the attribute ``name``.
        fill: A colour in hexadecimal form.
        words: Noun phrases, or a colour's names; ``{colour}`` is the colour slot.
        held_out: Words that only test texts use.
        noun: The phrase for a change of colour only; the part's own noun if empty.
        adjectives: Further words that mean the value next to one of the part's nouns; for the parser.
        cues: Further patterns that mean the value anywhere; for the parser.
        orders: Further complete orders ("make it frown").
    """

    options: dict[str, str | int] = {}
    fill: str = ""
    words: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    noun: str = ""
    adjectives: tuple[str, ...] = ()
    cues: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()


class Clauses(_Data):
    """Clause templates by mood: an order, a complement of "with", a statement."""

    order: tuple[str, ...] = ()
    with_: tuple[str, ...] = ()
    state: tuple[str, ...] = ()

    def of(self, mood: str) -> tuple[str, ...]:
        """Return the templates of a mood."""
        return {"order": self.order, "with": self.with_, "state": self.state}[mood]


class PartClauses(_Data):
    """Clause templates by the change of a part."""

    change: Clauses = Clauses()
    recolour: Clauses = Clauses()
    add: Clauses = Clauses()
    remove: Clauses = Clauses()

    def of(self, event: str) -> Clauses:
        """Return the templates for "change", "recolour", "add" or "remove"."""
        return {"change": self.change, "recolour": self.recolour, "add": self.add, "remove": self.remove}[event]


class Part(PartClauses):
    """A part of the drawing that one noun phrase describes; its kind and its colour are two attributes."""

    kind: str | None = None
    colour: str | None = None
    noun: str
    heads: tuple[str, ...]

    def attributes(self) -> tuple[str, ...]:
        """Return the names of the part's attributes, the kind first."""
        return tuple(name for name in (self.kind, self.colour) if name is not None)


class Captions(_Data):
    """Caption templates: openings, and details by part; ``{part}`` is replaced by the part's noun phrase."""

    openings: tuple[str, ...]
    details: dict[str, tuple[str, ...]]


class DrawingStyle(_Data):
    """A drawing style: its attributes, their drawing options, and the words for them.

    Attributes:
        name: The style's name in dicebear-styles.
        base: Options of every drawing.
        looks: Options that texts never mention: a mirror image, the positions of the stars.
        clashes: Combinations that are never drawn: one value hides another, or the look is invisible.
        attributes: Attribute → value → :class:`Value`.
        fills: Attribute → the option that takes its colour.
        only_with: Attribute → the values of another attribute that make it visible.
        unspoken: Attributes that no text mentions.
        parts: The parts of the drawing.
        held_out: Clauses by part that only test texts use.
    """

    name: str
    base: dict[str, str | int]
    looks: tuple[dict[str, str], ...]
    clashes: tuple[dict[str, tuple[str, ...]], ...]
    attributes: dict[str, dict[str, Value]]
    fills: dict[str, str]
    only_with: dict[str, dict[str, tuple[str, ...]]]
    unspoken: tuple[str, ...]
    parts: dict[str, Part]
    held_out: dict[str, PartClauses]
    captions: Captions

    def shown(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return the visible attributes: those that another attribute's value hides are left out."""
        return {
            name: value
            for name, value in values.items()
            if all(values[other] in needed for other, needed in self.only_with.get(name, {}).items())
        }

    def clash(self, values: Mapping[str, str]) -> bool:
        """Return whether the values contain a combination that is never drawn."""
        return any(all(values[name] in bad for name, bad in clash.items()) for clash in self.clashes)


@cache
def load_style(name: str) -> DrawingStyle:
    """Return one of :data:`STYLE_NAMES`."""
    text = files("likebut.research.sample_data").joinpath("styles", f"{name}.json").read_text(encoding="utf-8")
    return DrawingStyle.model_validate(json.loads(text, object_hook=_mood_fields))


def _mood_fields(node: dict[str, object]) -> dict[str, object]:
    # "with" is a Python keyword, so the field is called with_.
    return {"with_" if key == "with" else key: value for key, value in node.items()}


@dataclass(frozen=True)
class Scene:
    """The content of one drawing.

    Attributes:
        style: Name of the drawing style.
        look: Index of the style's look.
        values: (attribute, value) for every attribute of the style, in the style's order.
    """

    style: str
    look: int
    values: tuple[tuple[str, str], ...]

    @property
    def attributes(self) -> dict[str, str]:
        """The visible attributes: attribute → value."""
        return load_style(self.style).shown(dict(self.values))

    @property
    def spoken(self) -> dict[str, str]:
        """The attributes that texts may mention: :attr:`attributes` without the unspoken ones."""
        unspoken = load_style(self.style).unspoken
        return {name: value for name, value in self.attributes.items() if name not in unspoken}

    def visible(self) -> "Scene":
        """Return the scene without the values of hidden attributes; equal results are drawn identically."""
        return Scene(self.style, self.look, tuple(self.attributes.items()))

    def options(self) -> dict[str, str | int]:
        """Return the drawing options of the scene."""
        style, values = load_style(self.style), dict(self.values)
        options: dict[str, str | int] = {"seed": "likebut", **style.base, **style.looks[self.look]}
        fills = {name: style.attributes[name][value].fill for name, value in values.items()}
        for name, value in self.attributes.items():
            if name in style.fills:
                options[style.fills[name]] = fills[name]
            for option, setting in style.attributes[name][value].options.items():
                is_fill = isinstance(setting, str) and setting.startswith("$")
                options[option] = fills[str(setting)[1:]] if is_fill else setting
        return options

    def replace(self, changes: Mapping[str, str]) -> "Scene":
        """Return the scene with some attributes changed."""
        return Scene(self.style, self.look, tuple((name, changes.get(name, value)) for name, value in self.values))


def changes_between(reference: Mapping[str, str], target: Mapping[str, str]) -> dict[str, str]:
    """Return attribute → new value for every attribute that ``reference`` lacks or has with another value.

    An attribute that the change hides (a cactus has no flower colour) does not count as a change.
    """
    return {name: value for name, value in target.items() if reference.get(name) != value}
