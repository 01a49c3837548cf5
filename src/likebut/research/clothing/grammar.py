"""A grammar that writes modification texts about clothing, in plain or free wording; its words are in ``phrases.json``.

Plain wording has one phrase for each value, in a fixed order. Free wording has many phrases, orders and omissions.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from random import Random

from pydantic import BaseModel, ConfigDict, Field

from likebut.research.clothing.annotations import Photograph
from likebut.research.clothing.attributes import NONE
from likebut.research.english import finish, fix_articles, join_clauses, lower_first

PLAIN_ORDER = (
    "type",
    "colour",
    "pattern",
    "sleeves",
    "neck",
    "hood",
    "closure",
    "length",
    "leg",
    "fit",
    "waist",
    "heel",
    "height",
    "brim",
    "age",
)
"""The attributes that texts name, in the order of plain texts."""

Changes = Mapping[str, str]
"""Attribute → new value."""

_STRICT = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
_TAIL = re.compile(r"(?:\bwith\b|,|\bshowing\b|\bcovered in\b|\bprinted with\b)\s+(.+)$")
_OPENERS = ("", "", "", "", "make it ", "I want ", "like this but ", "is ")
_WORN_WORDS = re.compile(
    r",? (?:lying flat|laid flat|on a hanger|on the floor|hung up|on a bed|folded|spread out)\b[^,]*", re.IGNORECASE
)
_PRINTS = {"graphic print", "text print", "small logo"}
_VERBS = ("make ", "turn ", "is ", "swap ", "change ", "from ")
_PARTICLES = ("in ", "as ", "with ", "no ", "without ", "not ", "for ", "a bit ")


class Noun(BaseModel):
    """The nouns for a type.

    Attributes:
        nouns: Synonyms, the most common first.
        plural: Whether they take no article: "trousers".
    """

    model_config = _STRICT
    nouns: tuple[str, ...]
    plural: bool = False


class Value(BaseModel):
    """The phrases for one value of an attribute.

    Attributes:
        plain: Its plain wording; empty if it cannot be requested.
        adjectives: Phrases before a noun: "striped".
        withs: Phrases after "with": "stripes".
        clauses: Independent phrases: "no sleeves".
        lost: Phrases that negate the value of the reference: "no stripes".
    """

    model_config = _STRICT
    plain: str = ""
    adjectives: tuple[str, ...] = ()
    withs: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


_NOTHING = Value()


class Scale(BaseModel):
    """Values in ascending order, and the comparatives for a step in either direction."""

    model_config = _STRICT
    scale: tuple[str, ...]
    more: tuple[str, ...]
    less: tuple[str, ...]


class Phrases(BaseModel):
    """The content of ``phrases.json``; the keys of :attr:`values` are attributes."""

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
    """Return the phrases of all texts about clothing."""
    return Phrases.model_validate_json(files("likebut.research.clothing").joinpath("phrases.json").read_text("utf-8"))


def detail_of(photograph: Photograph, generator: Random) -> str:
    """Return a phrase that distinguishes the photograph from similar ones, "" if its annotation has none.

    It is the annotation's ``detail`` or, sometimes or for lack of one, the end of its caption.
    """
    tail = _TAIL.search(_WORN_WORDS.sub("", photograph.caption))
    fragments = [photograph.detail] * 2 + ([tail[1]] if tail else [])
    return generator.choice([fragment for fragment in fragments if fragment] or [""])


def detail_clause(text: str, detail: str, generator: Random, after_with: bool = False) -> str:
    """Return ``text`` joined with a detail: "navy, with a round red logo"."""
    detail = lower_first(detail) if not detail.startswith(("I ", "I'")) else detail
    if not text:
        return detail
    if generator.random() < 0.12:
        return f"{detail}, {text}"
    joins = (" and ", ", ") if after_with else (", ", " with ", ", with ", " and ", " featuring ")
    return text + generator.choice(joins) + detail


def short_caption(caption: str, generator: Random) -> str:
    """Return a caption as a modification text: without the item's position, and sometimes without a clause."""
    text = lower_first(_WORN_WORDS.sub("", caption).strip())
    clauses = text.split(", ")
    if len(clauses) > 2 and generator.random() < 0.5:
        clauses.pop(generator.randrange(1, len(clauses)))
    text = ", ".join(clauses)
    if generator.random() < 0.2 and " with " in text:
        head, tail = text.split(" with ", 1)
        text = f"{head} with {tail}" if generator.random() < 0.5 else f"{tail} on {head}"
    return generator.choice(_OPENERS) + text


def can_be_requested(attribute: str, value: str) -> bool:
    """Return whether a text can name this value as the new one: "other" cannot be named."""
    phrases = load_phrases()
    if attribute == "type":
        return value in phrases.types
    if attribute == "colour":
        return value in phrases.colours
    return bool(phrases.values.get(attribute, {}).get(value, _NOTHING).plain)


def write_plain(changes: Changes) -> str:
    """Return the plain text that names every change (attribute → new value, each of which can be requested)."""
    return ", ".join(_plain_clause(name, changes[name]) for name in PLAIN_ORDER if name in changes)


def _plain_clause(name: str, value: str) -> str:
    phrases = load_phrases()
    if name == "type":
        noun = phrases.types[value]
        return f"as {noun.nouns[0]}" if noun.plural else fix_articles(f"as a {noun.nouns[0]}")
    return f"in {value}" if name == "colour" else phrases.values[name][value].plain


class FreeGrammar:
    """Writes texts in free wording.

    Args:
        generator: Source of randomness.
    """

    def __init__(self, generator: Random) -> None:
        self.generator = generator
        self.phrases: Phrases = load_phrases()

    def write(
        self,
        reference: Mapping[str, str],
        target: Mapping[str, str],
        changes: Changes,
        detail: str = "",
        caption: str = "",
    ) -> str:
        """Return a text that leads from ``reference`` to ``target`` (attribute → value).

        Args:
            reference: The reference's attributes.
            target: The target's attributes.
            changes: The changes to name.
            detail: A phrase that distinguishes the target, or "" to name the changes only.
            caption: The target's caption, which may replace the whole text, or "".
        """
        draw = self.generator.random()
        if caption and draw < 0.25:
            text = short_caption(caption, self.generator)
        elif draw < 0.65:
            text = self._noun_phrase(reference, target, changes, detail)
        elif draw < 0.85 or not any(self._can_contrast(name, reference) for name in changes):
            text = self._clauses(reference, changes, detail)
        else:
            text = self._contrast(reference, target, changes, detail)
        return finish(text, self.generator)

    def _noun_phrase(
        self, reference: Mapping[str, str], target: Mapping[str, str], changes: Changes, detail: str
    ) -> str:
        """Return "kids' navy striped tee with long sleeves and a hood, no logo"."""
        before: list[str] = []
        withs: list[str] = []
        alone: list[str] = []
        for name in self._kept(changes, bool(detail)):
            value = self.phrases.values.get(name, {}).get(changes[name], _NOTHING)
            if name == "colour":
                before.append(self.colour(target, both=bool(detail) and self.generator.random() < 0.5))
            elif name != "type":
                form = self._form(value, ("adjectives", "withs", "clauses"))
                {"adjectives": before, "withs": withs, "clauses": alone}[form].append(
                    self.generator.choice(getattr(value, form))
                )
        if self.generator.random() < 0.3:
            alone += self._losses(reference, changes)
        text = " ".join(filter(None, [", ".join(before), self._noun(target, changes, bool(before))]))
        if withs:
            text += f" with {join_clauses(withs, self.generator, (' and ',))}"
        text = ", ".join(filter(None, [text.strip(), *alone]))
        if detail:
            text = detail_clause(text, detail, self.generator, after_with=bool(withs))
        return self._opened(text, 0.25)

    def _noun(self, target: Mapping[str, str], changes: Changes, after_adjective: bool) -> str:
        noun = self.phrases.types[target["type"]]
        if "type" in changes or self.generator.random() < 0.35:
            return self.generator.choice(noun.nouns)
        if not after_adjective:
            return ""
        return self.generator.choice(("ones", "pair", "") if noun.plural else ("one", "version", "", "", ""))

    def _clauses(self, reference: Mapping[str, str], changes: Changes, detail: str) -> str:
        """Return "longer, in navy and with a collar": a clause for each change, in random order."""
        names = self._kept(changes, bool(detail))
        self.generator.shuffle(names)
        clauses = [self.clause(name, reference, changes[name]) for name in names]
        if self.generator.random() < 0.35:
            clauses += self._losses(reference, changes)
        text = join_clauses(clauses, self.generator, self.phrases.joins)
        return self._opened(detail_clause(text, detail, self.generator) if detail else text, 0.2)

    def _contrast(self, reference: Mapping[str, str], target: Mapping[str, str], changes: Changes, detail: str) -> str:
        """Return "striped instead of plain, in navy"."""
        name = self.generator.choice([name for name in changes if self._can_contrast(name, reference)])
        new, old = self._bare(name, target[name]), self._bare(name, reference[name])
        if name == "type":
            old = re.sub(r"^an? ", "the ", old)
        text = self.generator.choice(self.phrases.contrasts).format(new=new, old=old)
        rest = [self.clause(other, reference, changes[other]) for other in self._kept(changes, False) if other != name]
        self.generator.shuffle(rest)
        text = join_clauses([text, *rest], self.generator, (", ", ", ", " and "))
        return detail_clause(text, detail, self.generator) if detail else text

    def _can_contrast(self, name: str, reference: Mapping[str, str]) -> bool:
        return name in ("type", "colour", "pattern", "sleeves", "neck") and can_be_requested(name, reference[name])

    def _bare(self, name: str, value: str) -> str:
        if name == "type":
            return self._a_type(value)
        if name == "colour":
            return self.generator.choice(self.phrases.colours[value])
        words = self.phrases.values[name][value]
        return self.generator.choice(words.adjectives + words.withs or words.clauses)

    def clause(self, name: str, reference: Mapping[str, str], value: str) -> str:
        """Return one clause that requests ``value``: "in navy", "darker, navy", "longer", "as a dress", "no hood"."""
        if name == "type":
            noun = self.phrases.types[value]
            frames = [frame for frame in self.phrases.as_type if not noun.plural or "{n}" not in frame]
            frame = self.generator.choice(frames)
            return fix_articles(frame.format(a=self._a_type(value), n=self.generator.choice(noun.nouns)))
        if name == "colour":
            return self._colour_clause(reference["colour"], value)
        step = self._comparative(name, reference.get(name, ""), value)
        if step and self.generator.random() < (0.6 if name == "length" else 0.3):
            return step
        words = self.phrases.values[name][value]
        form = self._form(words, ("adjectives", "withs", "clauses"))
        text = self.generator.choice(getattr(words, form))
        return f"with {text}" if form == "withs" and self.generator.random() < 0.75 else text

    def _a_type(self, value: str) -> str:
        noun = self.phrases.types[value]
        name = self.generator.choice(noun.nouns)
        return name if noun.plural else fix_articles(f"a {name}")

    def _colour_clause(self, old: str, new: str) -> str:
        word = self.generator.choice(self.phrases.colours[new])
        step = self._shade_step(old, new)
        if step and self.generator.random() < 0.35:
            return self.generator.choice((f"{step}, {word}", f"{step}, in {word}", f"a {step} shade, {word}"))
        return self.generator.choice((f"in {word}", f"in {word}", word, word, f"make it {word}", f"{word} colour"))

    def _shade_step(self, old: str, new: str) -> str:
        for shades in self.phrases.shades:
            if old in shades and new in shades:
                return "darker" if shades.index(new) > shades.index(old) else "lighter"
        return ""

    def _comparative(self, name: str, old: str, new: str) -> str:
        scale = self.phrases.scales.get(name)
        if scale is None or old not in scale.scale or new not in scale.scale:
            return ""
        more = scale.scale.index(new) > scale.scale.index(old)
        return self.generator.choice(scale.more if more else scale.less)

    def colour(self, values: Mapping[str, str], both: bool) -> str:
        """Return a word for the colour, or for both colours: "navy and white"."""
        word = self.generator.choice(self.phrases.colours[values["colour"]])
        second = values.get("second colour", NONE)
        return f"{word} and {self.generator.choice(self.phrases.colours[second])}" if both and second != NONE else word

    def _losses(self, reference: Mapping[str, str], changes: Changes) -> list[str]:
        """Return at most one clause that names a removed value: "no stripes"."""
        from_print_to_print = {reference["pattern"], changes.get("pattern")} <= _PRINTS  # "no print" would be false
        lost = [
            phrase
            for name in ("pattern", "neck", "closure", "hood")
            if name in changes and not (name == "pattern" and from_print_to_print)
            for phrase in self.phrases.values[name].get(reference.get(name, ""), _NOTHING).lost
        ]
        return [self.generator.choice(lost)] if lost else []

    def _kept(self, changes: Changes, has_detail: bool) -> list[str]:
        """Return the changes to name: with a detail that distinguishes the target, one may be omitted."""
        names = [name for name in PLAIN_ORDER if name in changes]
        if has_detail and len(names) > 1 and self.generator.random() < 0.4:
            droppable = [name for name in names if name not in ("type", "colour")] or names
            names.remove(self.generator.choice(droppable))
        return names

    def _form(self, value: Value, forms: tuple[str, ...]) -> str:
        return self.generator.choice([form for form in forms if getattr(value, form)])

    def _opened(self, text: str, probability: float) -> str:
        if self.generator.random() >= probability or text.startswith(_VERBS):
            return text
        frames = self.phrases.openers
        if text.startswith(_PARTICLES):
            frames = tuple(frame for frame in frames if frame.startswith(("{}", "same", "the same")))
        return self.generator.choice(frames).format(lower_first(text))
