"""A grammar that writes modification texts: the changes between two scenes, in many phrasings.

A text consists of clauses, one for each part of the drawing that changed, in a frame. Clause templates and words are
stored in ``styles/*.json`` and frames in ``phrases.json``; those marked as held out are used in test texts only.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from random import Random

from pydantic import BaseModel, ConfigDict

from likebut.research.english import COLOUR_SLOT, fix_articles, with_colour, without_article
from likebut.research.sample_data.attributes import (
    NONE,
    DrawingStyle,
    Part,
    Value,
    changes_between,
    load_style,
)

_HELD_OUT_FRACTION = 0.6
_FRAMES = ("order", "order", "with", "with", "state", "bare", "with order")


class Phrases(BaseModel):
    """Frames and joins by mood, and those that only test texts use."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    frames: dict[str, tuple[str, ...]]
    held_out_frames: dict[str, tuple[str, ...]]
    joins: dict[str, tuple[str, ...]]
    held_out_joins: dict[str, tuple[str, ...]]
    caption_frames: tuple[str, ...]


@cache
def load_phrases() -> Phrases:
    """Return the frames, which all styles share."""
    return Phrases.model_validate_json(
        files("likebut.research.sample_data").joinpath("phrases.json").read_text("utf-8")
    )


class Grammar:
    """Writes modification texts for one drawing style.

    Args:
        style: The style.
        generator: Source of randomness.
        held_out: Whether to also use the words, clauses and frames that are reserved for test texts.
        plain: Whether every change has one short phrasing, in the parts' order: "a yellow pot and a winking eye". A
            generator trained on such texts does not have to predict a random phrasing.
    """

    def __init__(self, style: DrawingStyle, generator: Random, held_out: bool = False, plain: bool = False) -> None:
        self.style, self.generator, self.held_out, self.plain = style, generator, held_out, plain
        self.phrases = load_phrases()

    def choose(self, common: tuple[str, ...], held_out: tuple[str, ...] = ()) -> str:
        """Return a random common phrase or, in most cases of a test text, a held-out one."""
        if self.plain:
            return common[0]
        use_held_out = self.held_out and held_out and self.generator.random() < _HELD_OUT_FRACTION
        return self.generator.choice(held_out if use_held_out else common)

    def noun_phrase(self, part: Part, values: Mapping[str, str], with_kind: bool = True, coloured: bool = True) -> str:
        """Return a part's noun phrase: "a round blue pot", "a blue pot", "a round pot"; "no glasses" if absent."""
        colour = self.colour(part, values) if coloured else None
        if part.kind is None:
            return with_colour(f"a {COLOUR_SLOT} {part.noun}", colour)
        value = self.style.attributes[part.kind][values[part.kind]]
        if not value.words:
            return f"no {part.noun}"
        if not with_kind:
            return with_colour(self.plain_noun(part, value), colour)
        return with_colour(self.choose(value.words, value.held_out), colour)

    def plain_noun(self, part: Part, value: Value) -> str:
        """Return the noun phrase without the kind, with a colour slot."""
        return value.noun or f"a {COLOUR_SLOT} {part.noun}"

    def colour(self, part: Part, values: Mapping[str, str]) -> str | None:
        """Return a word for a part's colour, or None if it has none."""
        if part.colour is None or part.colour not in values:
            return None
        name = values[part.colour]
        value = self.style.attributes[part.colour][name]
        return self.choose(value.words or (name,), value.held_out)

    def clause(self, part_name: str, reference: Mapping[str, str], target: Mapping[str, str], mood: str) -> str:
        """Return a clause that states how a part changed."""
        part = self.style.parts[part_name]
        changed = changes_between(reference, target)
        event = _event(part, reference, target, changed)
        held_out = self.style.held_out.get(part_name)
        common = part.of(event).of(mood)
        if mood == "order" and event in ("change", "add") and part.kind is not None:
            common += self.style.attributes[part.kind][target[part.kind]].orders
        template = self.choose(common, held_out.of(event).of(mood) if held_out else ())
        return self._fill(template, part, reference, target, part.colour in changed)

    def _fill(
        self, template: str, part: Part, reference: Mapping[str, str], target: Mapping[str, str], name_colour: bool
    ) -> str:
        fillers: dict[str, Callable[[], str]] = {
            "{new}": lambda: self.noun_phrase(part, target, coloured=name_colour),
            "{old}": lambda: without_article(self._old_noun(part, reference)),
            "{a_noun}": lambda: self.noun_phrase(part, target, with_kind=False),
            "{noun}": lambda: without_article(self.noun_phrase(part, target, with_kind=False, coloured=False)),
            "{colour}": lambda: self.colour(part, target) or "",
            "{old_colour}": lambda: self.colour(part, reference) or "",
        }
        for slot, fill in fillers.items():
            if slot in template:
                template = template.replace(slot, fill())
        return fix_articles(template)

    def _old_noun(self, part: Part, reference: Mapping[str, str]) -> str:
        assert part.kind is not None  # only templates of parts with a kind have {old}
        value = self.style.attributes[part.kind][reference[part.kind]]
        return with_colour((value.words or (part.noun,))[0], None)

    def modification(self, reference: Mapping[str, str], target: Mapping[str, str]) -> str:
        """Return a modification text that names every change from ``reference`` to ``target`` (attribute → value).

        It names the new values, so that it determines the target.
        """
        changed = changes_between(reference, target)
        parts = [name for name, part in self.style.parts.items() if set(part.attributes()) & set(changed)]
        if self.plain:
            return self._join([self.clause(name, reference, target, "with") for name in parts], "with")
        self.generator.shuffle(parts)
        mood = self.generator.choice(_FRAMES)
        if mood == "with order" and len(parts) < 2:
            mood = "with"
        if mood == "with order":
            first = self.clause(parts[0], reference, target, "with")
            rest = self._join([self.clause(name, reference, target, "order") for name in parts[1:]], "order")
            text = self._frame(mood).format(first=first, rest=rest)
        else:
            clauses = [self.clause(name, reference, target, "with" if mood == "bare" else mood) for name in parts]
            if mood == "bare":
                clauses = [without_article(clause) for clause in clauses]
            text = self._frame(mood).format(self._join(clauses, mood))
        return self._finish(text)

    def _frame(self, mood: str) -> str:
        return self.choose(self.phrases.frames[mood], self.phrases.held_out_frames[mood])

    def _join(self, clauses: list[str], mood: str) -> str:
        text = clauses[0]
        for clause in clauses[1:]:
            text += self.choose(self.phrases.joins[mood], self.phrases.held_out_joins[mood]) + clause
        return text

    def _finish(self, text: str) -> str:
        style = self.generator.random()
        if style < 0.35:
            text = text[0].upper() + text[1:]
        return text + "." if style < 0.25 and text[-1].isalnum() else text


def _event(part: Part, reference: Mapping[str, str], target: Mapping[str, str], changed: Mapping[str, str]) -> str:
    if part.kind is None or part.kind not in changed:
        return "recolour"
    if target[part.kind] == NONE:
        return "remove"
    return "add" if reference[part.kind] == NONE else "change"


def write_modification(
    style_name: str,
    reference: Mapping[str, str],
    target: Mapping[str, str],
    generator: Random,
    held_out: bool = False,
) -> str:
    """Return a modification text for two scenes of one style.

    Args:
        style_name: The drawing style.
        reference: Attribute → value of the reference image (:attr:`Scene.spoken`).
        target: Attribute → value of the target image.
        generator: Source of randomness.
        held_out: Whether to also use the paraphrases that are reserved for test texts.
    """
    return Grammar(load_style(style_name), generator, held_out).modification(reference, target)
