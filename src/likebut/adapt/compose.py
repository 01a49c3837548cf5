"""Triplets composed from a collection's own texts: two images, and what one is called and the other is not.

Nobody looked at the pair; that "Granny Smith instead" leads to a Granny Smith is true whatever else the two show. Every
image for which a text is true is among the triplet's ``targets``, so that none of them is a negative.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from likebut.adapt.concepts import Concepts, Described, key_of, pieces_of, tidy
from likebut.data.triplets import Triplet
from likebut.synthesis.filters import words_of

_MOST_TARGETS = 200
_MOST_TRIES = 6
_PIECES_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Frames:
    """Templates, of which each text is one.

    Attributes:
        absolute: Names a thing; nothing of the reference need be kept.
        contrast: Names the thing and what it replaces.
        relative: Changes one thing and keeps the rest.
        same: Another image of the same name.
        attribute: A column's value.
        coloured: A colour, of anything.
    """

    absolute: tuple[str, ...]
    contrast: tuple[str, ...]
    relative: tuple[str, ...]
    same: tuple[str, ...]
    attribute: tuple[str, ...]
    coloured: tuple[str, ...]


TRAINING = Frames(
    absolute=(
        "{}", "{}", "{} instead", "{} instead", "{} instead", "the {}", "a {} instead", "show me {}", "I want {}",
        "change it to {}", "replace it with {}", "swap it for {}", "{} please", "I am looking for {}", "find {}",
        "{} rather than this", "the {} one", "not this but {}", "is there {}?", "turn this into {}", "some {}",
        "with {}",
    ),
    contrast=("{} instead of {}", "{} rather than {}", "not {1} but {0}", "replace {1} with {0}", "{}, not {}"),
    relative=(
        "{}", "make it {}", "but {}", "in {}", "the same but {}", "like this but {}", "the {} one", "{} instead",
        "this in {}", "{} version", "the {} kind", "more {}", "it should be {}", "{} please", "change it to {}",
    ),
    same=("another {}", "the same, another image", "one more {}", "a different {}", "another one like this"),
    attribute=(
        "{value}", "in {value}", "make it {value}", "{value} {column}", "{column}: {value}", "with {value} {column}",
        "{column} {value} instead", "but {value}",
    ),
    coloured=("something {}", "{}", "in {}", "a {} one", "make it {}", "anything {}", "the {} one", "{} instead"),
)  # fmt: skip
MEASURING = Frames(
    absolute=("{}", "could it be {}", "{} if you have it", "I would prefer {}", "let me see {}"),
    contrast=("{} in place of {}",),
    relative=("{}", "{} this time", "similar, only {}", "could it be {}"),
    same=("something else of {}",),
    attribute=("{value}", "{value} this time", "similar, only {value} {column}"),
    coloured=("whatever is {}", "{} this time"),
)


@dataclass(frozen=True, slots=True)
class Mix:
    """How often each kind of text is composed.

    Attributes:
        name: The target's whole name.
        part: A part of the target's name, true of every image whose name has it.
        difference: The words that the target's name has and the reference's lacks; the shared words are kept.
        same: Another image of the reference's own name.
        attribute: A structured column's value.
        prose: A sentence or clause of the target's description.
        colour: The colour that images of the target's name are shown in, alone or before a part of the name.
    """

    name: float = 0.45
    part: float = 0.25
    difference: float = 0.2
    same: float = 0.02
    attribute: float = 0.2
    prose: float = 0.2
    colour: float = 0.12

    def weights(self, image: Described, has_parts: bool) -> dict[str, float]:
        """Return the weights of the kinds that an image's texts allow."""
        named = bool(image.names)
        return {
            "name": self.name * named,
            "part": self.part * has_parts,
            "difference": self.difference * has_parts,
            "same": self.same * named,
            "attribute": self.attribute * bool(image.attributes),
            "prose": self.prose * bool(image.prose),
            "colour": self.colour * bool(image.colour),
        }


@dataclass(frozen=True, slots=True)
class _Said:
    text: str
    targets: frozenset[str]
    kind: str


class Composer:
    """Composes triplets.

    Args:
        concepts: What is said of which image.
        neighbours: Image → images that look like it, nearest first: references from which a change is a fine one.
        seed: Makes every choice.
        mix: How often each kind of text is composed.
        balance: Exponent of a name's count in how often its images are targets: 1 as often as they occur, 0 every name
            equally often.
        frames: The templates.
        split: Of the triplets.
    """

    def __init__(
        self,
        concepts: Concepts,
        neighbours: Mapping[str, Sequence[str]] | None = None,
        seed: int = 0,
        mix: Mix = Mix(),
        balance: float = 0.5,
        frames: Frames = TRAINING,
        split: str = "train",
    ) -> None:
        self._concepts, self._seed, self._mix = concepts, seed, mix
        self._frames, self._split = frames, split
        self._neighbours = neighbours or {}
        self._images = [each.image for each in concepts.images]
        counts = {image: len(images) for images in concepts.named.values() for image in images}
        self._weights = [each.weight * counts.get(each.image, 1) ** (balance - 1.0) for each in concepts.images]
        self._parts = {image: concepts.parts(image) for image in self._images}

    def write(self, count: int) -> Iterator[Triplet]:
        """Yield up to ``count`` triplets; fewer where the texts tell too few images apart."""
        if len(self._images) < 2:
            return
        generator = Random(f"{self._seed}/composed")
        failures, made = 0, 0
        while made < count and failures < 20 * _MOST_TRIES + count:
            triplet = self._triplet(made, generator)
            if triplet is None:
                failures += 1
                continue
            made += 1
            yield triplet

    def _triplet(self, number: int, generator: Random) -> Triplet | None:
        [target] = generator.choices(self._images, self._weights)
        for _ in range(_MOST_TRIES):
            reference = self._reference(target, generator)
            said = None if reference == target else self._say(reference, target, generator)
            if said is None:
                continue
            back = self._say(target, reference, generator, allow_same=said.kind == "same")
            return Triplet(
                reference=reference,
                target=target,
                modification=said.text,
                split=self._split,
                id=f"composed-{number}",
                reverse_modification=None if back is None else back.text,
                targets=_some(target, said.targets - {reference}, generator),
                meta={"source": "composed", "kind": said.kind},
            )
        return None

    def _reference(self, target: str, generator: Random) -> str:
        draw = generator.random()
        near = self._neighbours.get(target, ())
        if near and draw < 0.45:
            return generator.choice(list(near))
        if draw < 0.65 and self._parts[target]:
            holders = sorted(self._concepts.holders[generator.choice(self._parts[target])])
            return generator.choice(holders)
        return generator.choice(self._images)

    def _say(self, reference: str, target: str, generator: Random, allow_same: bool = True) -> _Said | None:
        image = self._concepts.of(target)
        weights = self._mix.weights(image, bool(self._parts[target]))
        if not allow_same:
            weights["same"] = 0.0
        if not any(weights.values()):
            return None
        [kind] = generator.choices(list(weights), list(weights.values()))
        match kind:
            case "name":
                return self._by_name(reference, image, generator)
            case "part":
                return self._by_part(reference, target, generator)
            case "difference":
                return self._by_difference(reference, target, generator)
            case "same":
                return self._by_same(reference, image, generator)
            case "attribute":
                return self._by_attribute(reference, image, generator)
            case "colour":
                return self._by_colour(reference, image, generator)
            case _:
                return self._by_prose(reference, image, generator)

    def _by_name(self, reference: str, target: Described, generator: Random) -> _Said | None:
        if not target.names:
            return None
        name, other = generator.choice(target.names), self._concepts.of(reference).names
        holders = self._concepts.holders[key_of(name)]
        if reference in holders:
            return None
        if other and generator.random() < 0.12:
            text = generator.choice(self._frames.contrast).format(
                _spoken(name, generator), _spoken(other[0], generator)
            )
        else:
            text = generator.choice(self._frames.absolute).format(_spoken(name, generator))
        return _Said(tidy(text), holders, "name")

    def _by_part(self, reference: str, target: str, generator: Random) -> _Said | None:
        parts = [part for part in self._parts[target] if reference not in self._concepts.holders[part]]
        if not parts:
            return None
        part = generator.choice(parts)
        return _Said(tidy(generator.choice(self._frames.absolute).format(part)), self._concepts.holders[part], "part")

    def _by_difference(self, reference: str, target: str, generator: Random) -> _Said | None:
        """Say the words that are new; what both names have is kept: "yellow" leads from red to yellow peppers."""
        before, after = self._concepts.words[reference], self._concepts.words[target]
        shared = before & after
        new = [word for word in words_of(self._concepts.of(target).names[0]) if word not in before]
        gone = [word for word in words_of((self._concepts.of(reference).names or ("",))[0]) if word not in after]
        if not shared or not new:
            return None
        if gone and generator.random() < 0.15:
            text = generator.choice(self._frames.contrast).format(" ".join(new), " ".join(gone))
        else:
            text = generator.choice(self._frames.relative).format(" ".join(new))
        return _Said(tidy(text), self._concepts.with_words([*new, *shared]) | {target}, "difference")

    def _by_same(self, reference: str, target: Described, generator: Random) -> _Said | None:
        if not target.names:
            return None
        holders = self._concepts.named[key_of(target.names[0])]
        if reference not in holders:
            return None
        return _Said(
            tidy(generator.choice(self._frames.same).format(target.names[0].lower())), frozenset(holders), "same"
        )

    def _by_attribute(self, reference: str, target: Described, generator: Random) -> _Said | None:
        """Say one column's new value; images right are those that have it and whatever else the two images share."""
        before = self._concepts.of(reference).attributes
        changed = [c for c, value in target.attributes.items() if c in before and before[c] != value]
        if not changed:
            return None
        column = generator.choice(changed)
        value = target.attributes[column]
        text = generator.choice(self._frames.attribute).format(value=value, column=column.replace("_", " "))
        kept = [(c, v) for c, v in target.attributes.items() if before.get(c) == v]
        holders = frozenset.intersection(*(self._concepts.with_attribute[key] for key in [(column, value), *kept]))
        if target.names and generator.random() < 0.5:
            text = f"{generator.choice(target.names)}, {value}"
            holders &= self._concepts.holders[key_of(target.names[0])]
        return _Said(tidy(text), holders | {target.image}, "attribute")

    def _by_colour(self, reference: str, target: Described, generator: Random) -> _Said | None:
        """Say the target's colour: of what both names share, of a part of the target's name, or of anything."""
        colour = target.colour
        if not colour or self._concepts.of(reference).colour == colour:
            return None
        holders = self._concepts.with_colour[colour]
        shared = self._concepts.words[reference] & self._concepts.words[target.image]
        if shared:
            text = generator.choice(self._frames.relative).format(colour)
            return _Said(text, (holders & self._concepts.with_words(shared)) | {target.image}, "colour")
        parts = [*self._parts[target.image], *(key_of(name) for name in target.names)]
        if parts and generator.random() < 0.6:
            part = generator.choice(parts)
            text = generator.choice(self._frames.absolute).format(
                part if colour in part.split() else f"{colour} {part}"
            )
            return _Said(tidy(text), (holders & self._concepts.holders[part]) | {target.image}, "colour")
        return _Said(generator.choice(self._frames.coloured).format(colour), holders, "colour")

    def _by_prose(self, reference: str, target: Described, generator: Random) -> _Said | None:
        """Say a sentence of the target's description, or up to three pieces of it that the reference lacks."""
        if not target.prose:
            return None
        clause = generator.choice(target.prose)
        new = [piece for piece in pieces_of(clause) if reference not in self._concepts.with_prose(piece)]
        if new and generator.random() < _PIECES_SHARE:
            chosen = generator.sample(new, min(len(new), generator.choice((1, 1, 2, 3))))
            text, said = generator.choice((", ", " and ")).join(chosen), " ".join(chosen)
            text = generator.choice(self._frames.relative).format(text)
        else:
            text = said = clause
        holders = self._concepts.with_prose(said)
        return None if reference in holders else _Said(tidy(text), holders | {target.image}, "prose")


def _spoken(name: str, generator: Random) -> str:
    return name.lower() if generator.random() < 0.7 else name


def _some(target: str, right: frozenset[str], generator: Random) -> tuple[str, ...]:
    others = sorted(right - {target})
    if len(others) > _MOST_TARGETS:
        others = sorted(generator.sample(others, _MOST_TARGETS))
    return (target, *others)
