"""What the texts of a collection say of its images, as concepts: a phrase, and the images for which it is true.

A concept is a name ("red bell pepper"), a part of a name ("bell pepper", "red") or the value of an attribute. Part of a
name counts only where it says something: a part that one image in two has distinguishes nothing.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from likebut.synthesis.filters import words_of

MOST_WORDS = 16
"""A text is cut to this many words: 32 tokens are all that the query encoder reads."""
_MOST_PART_WORDS = 3
_COMMON_SHARE = 0.5
_SPACE = re.compile(r"\s+")
_BETWEEN = re.compile(r"\s*(?:,|;|\bwith\b|\band\b)\s*", re.IGNORECASE)
# Words that say nothing by themselves, as the whole of a part or at its edge.
_EDGE_WORDS = frozenset(
    "a an the of in on with and or for to from at by is are this that it its as no not & de la le les du des et der "
    "die das und mit von el los las y con".split()
)


@dataclass(frozen=True, slots=True)
class Described:
    """An image with what the collection says of it.

    Attributes:
        image: Its name.
        names: Short texts for what it shows: titles, tags, folder names; the first is the most telling.
        prose: Longer texts: descriptions and captions.
        attributes: Column → value, of structured columns.
        colour: What its photograph shows it in, as far as the images of its name agree; empty if they do not.
        weight: How much the texts are trusted, from 0 to 1; below 1 for texts that a model wrote.
    """

    image: str
    names: tuple[str, ...] = ()
    prose: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    colour: str = ""
    weight: float = 1.0

    @property
    def has_text(self) -> bool:
        """Whether anything is said of the image."""
        return bool(self.names or self.prose or self.attributes or self.colour)


def tidy(text: str, most_words: int = MOST_WORDS) -> str:
    """Return ``text`` on one line, with single spaces and at most ``most_words`` words."""
    words = _SPACE.sub(" ", text).strip().split(" ")
    return " ".join(words[:most_words])


def parts_of(name: str) -> list[str]:
    """Return the runs of up to three words of a name, without the whole: "red bell", "bell pepper", "red" and so on."""
    words = words_of(name)
    found: dict[str, None] = {}
    for length in range(min(_MOST_PART_WORDS, len(words) - 1), 0, -1):
        for start in range(len(words) - length + 1):
            run = words[start : start + length]
            if run[0] not in _EDGE_WORDS and run[-1] not in _EDGE_WORDS and not run[-1].isdigit():
                found[" ".join(run)] = None
    return list(found)


class Concepts:
    """The concepts of a collection.

    Args:
        images: With their texts; images of which nothing is said are left out.
    """

    def __init__(self, images: Sequence[Described]) -> None:
        self.images = [each for each in images if each.has_text]
        self._by_image = {each.image: each for each in self.images}

    def __len__(self) -> int:
        """Return how many images something is said of."""
        return len(self.images)

    def of(self, image: str) -> Described:
        """Return what is said of an image."""
        return self._by_image[image]

    @cached_property
    def named(self) -> dict[str, tuple[str, ...]]:
        """First name, its words in lower case → the images that have it."""
        found: dict[str, list[str]] = defaultdict(list)
        for each in self.images:
            if each.names:
                found[key_of(each.names[0])].append(each.image)
        return {name: tuple(images) for name, images in found.items()}

    @cached_property
    def holders(self) -> dict[str, frozenset[str]]:
        """Concept → the images for which it is true: every name and every part of one that distinguishes images."""
        found: dict[str, set[str]] = defaultdict(set)
        for each in self.images:
            for name in each.names:
                found[key_of(name)].add(each.image)
                for part in parts_of(name):
                    found[part].add(each.image)
        # "yoghurt" is true of "Vanilla Yoghurt" whether or not another image has "Yoghurt" as its whole name.
        most = _COMMON_SHARE * len(self.images)
        names = {key_of(name) for each in self.images for name in each.names}
        return {key: frozenset(images) for key, images in found.items() if key in names or len(images) <= most}

    @cached_property
    def words(self) -> dict[str, frozenset[str]]:
        """Image → the words of its names."""
        return {each.image: frozenset(w for name in each.names for w in words_of(name)) for each in self.images}

    def parts(self, image: str) -> list[str]:
        """Return the concepts that are parts of an image's names, in a fixed order."""
        found = dict.fromkeys(part for name in self.of(image).names for part in parts_of(name))
        return [part for part in found if part in self.holders]

    def with_words(self, words: Iterable[str]) -> frozenset[str]:
        """Return the images whose names have all of ``words``."""
        sets = [self._images_with_word.get(word, frozenset()) for word in words]
        return frozenset.intersection(*sets) if sets else frozenset(self._by_image)

    @cached_property
    def _images_with_word(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for image, words in self.words.items():
            for word in words:
                found[word].add(image)
        return {word: frozenset(images) for word, images in found.items()}

    @cached_property
    def _images_with_prose_word(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for each in self.images:
            for word in words_of(" ".join([*each.prose, *each.names])):
                found[word].add(each.image)
        return {word: frozenset(images) for word, images in found.items()}

    def with_prose(self, clause: str) -> frozenset[str]:
        """Return the images whose texts have every telling word of ``clause``, in whatever order."""
        words = [word for word in words_of(clause) if word not in _EDGE_WORDS]
        sets = [self._images_with_prose_word.get(word, frozenset()) for word in words]
        return frozenset.intersection(*sets) if sets else frozenset()

    @cached_property
    def with_colour(self) -> dict[str, frozenset[str]]:
        """Colour → the images whose names are shown in it."""
        found: dict[str, set[str]] = defaultdict(set)
        for each in self.images:
            if each.colour:
                found[each.colour].add(each.image)
        return {colour: frozenset(images) for colour, images in found.items()}

    @cached_property
    def with_attribute(self) -> dict[tuple[str, str], frozenset[str]]:
        """(Column, value) → the images that have it."""
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for each in self.images:
            for column, value in each.attributes.items():
                found[column, value].add(each.image)
        return {key: frozenset(images) for key, images in found.items()}


def pieces_of(clause: str) -> list[str]:
    """Return what stands between commas, "with" and "and" in a sentence: what a person may ask for by itself."""
    pieces = (piece.strip(" .,;:!?") for piece in _BETWEEN.split(clause))
    return [piece for piece in dict.fromkeys(pieces) if any(word not in _EDGE_WORDS for word in words_of(piece))]


def key_of(name: str) -> str:
    """Return a name's words in lower case; the name itself where it has none (emoji)."""
    return " ".join(words_of(name)) or name.strip().casefold()
