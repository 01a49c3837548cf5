"""Parsing a modification text into the attribute changes that it claims.

The parser covers the grammar's texts and is meant for texts of a language model too, so it does not follow templates.
It finds the words of the lexicon, then scans them once from left to right and tracks whether the text currently
describes the target, the reference ("swap the *cactus* for …"), or something to remove ("lose the …").
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

from likebut.research.sample_data.attributes import NONE
from likebut.research.sample_data.lexicon import Lexicon, Mention, Noun, load_lexicon

_TARGET, _FORMER, _REMOVED = "target", "former", "removed"

_CONNECTORS = {
    "swap": "for|with|to",
    "trade": "for|with",
    "exchange": "for|with",
    "replace": "with|by",
    "substitute": "with|by|for",
    "change": "to|into|for",
    "turn": "to|into",
    "convert": "to|into",
    "transform": "to|into",
    "switch": "to|for|with|into",
    "trim": "to|into",
    "move": "to|into",
    "shift": "to",
    "from": "to",
}
_VERB = re.compile(
    r"\b(?P<verb>swap|trade|exchang|replac|substitut|chang|turn|convert|transform|switch|trim|mov|shift)"
    r"(?:e|es|ed|ing|ping|ming|s|ped|med)?\b|\b(?P<from>from)\b"
)
_STEMS = {"exchang": "exchange", "replac": "replace", "substitut": "substitute", "chang": "change", "mov": "move"}
_FORMER_MARKER = re.compile(
    r"\b(?:instead of|rather than|in place of|in lieu of|as opposed to|not|keep(?:ing)?|unlike"
    r"|where(?= [^,;.]*was\b))\b"
)
_REMOVED_MARKER = re.compile(
    r"\b(?:los(?:e|es|ing)|remov(?:e|es|ing)|removed(?= (?:the|its|his|her|their)\b)"
    r"|drop|ditch|delete|erase|get rid of|take off|take away|tak(?:e|ing) out"
    r"|tak(?:e|ing) (?=[^,;.]*\b(?:off|away)\b)|shav(?:e|ing)(?: off)?|without|no|no more|minus|do away with"
    r"|wip(?:e|ing) away|clear(?:ing)?|hide|lack(?:s|ing)?)\b"
)
_GONE_MARKER = re.compile(r"\b(?:gone|disappeared|vanished|removed|deleted)\b")
_BOUNDARY = re.compile(
    r"[,;.:/+!?]|\b(?:and|but|then|plus|also|with|while|besides|as well as|along with|together with|make|give|put|add"
    r"|paint|use|draw|grow|set|let|have|show|want|go for)\b"
)
_DEFINITE = re.compile(r"\bthe(?: (?:same|old|current|original|existing))?(?: [\w-]+){0,2} $")
_DETERMINER = re.compile(r"^ ?(?:and|,) ?(?:the|any|all|every|its|their|his|her) $")
_COPULA = re.compile(r"^ (?:is|are|should|has|have|in|to|becomes?|turns?)\b")
_STOP_WORDS = frozenset(
    "in on with is are to into and instead of as from by at against should be becomes the a an behind or".split()
)


@dataclass(frozen=True)
class _Item:
    start: int
    end: int
    what: str  # "mention", "head", "adjective", "verb", "former", "removed", "gone" or "boundary"
    word: str = ""
    mention: Mention | None = None
    nouns: tuple[Noun, ...] = ()
    colour: str = ""


def parse_modification(text: str) -> dict[str, str]:
    """Return the changes that a modification text claims: attribute → new value, "none" for a removal.

    Attributes of all drawing styles are parsed, so that claims about things that are not in the image count as errors.
    """
    return _Parse(_normalise(text), load_lexicon()).claims()


def claimed_changes(text: str, reference: Mapping[str, str]) -> set[tuple[str, str]]:
    """Return the (attribute, new value) pairs that a text claims to change in ``reference`` (attribute → value).

    Naming what the reference already has ("a *red* dress" of a red dress) claims no change.
    """
    return {(name, value) for name, value in parse_modification(text).items() if reference.get(name) != value}


def _normalise(text: str) -> str:
    return " ".join(re.sub(r"([,;:.!?/+()\"“”])", r" \1 ", text.lower().replace("’", "'")).split()).join("  ")


class _Parse:
    """One pass over one text."""

    def __init__(self, text: str, lexicon: Lexicon) -> None:
        self.text, self.lexicon = text, lexicon
        self.items = self._find_items()

    def claims(self) -> dict[str, str]:
        claims: dict[str, str] = {}
        mode, expecting = _TARGET, ""
        for position, item in enumerate(self.items):
            if item.what == "verb":
                expecting = self._connector(position)
                mode = _FORMER if expecting else _TARGET
            elif item.what == "connector":
                if expecting and re.fullmatch(expecting, item.word):
                    mode, expecting = _TARGET, ""
            elif item.what in ("former", "removed"):
                mode = _FORMER if item.what == "former" else _REMOVED
            elif item.what == "boundary":
                mode = mode if expecting or self._continues_removal(position, mode) else _TARGET
            elif item.what == "gone":
                self._claim_gone(position, claims)
            else:
                self._claim(position, mode, claims)
        return claims

    def _claim(self, position: int, mode: str, claims: dict[str, str]) -> None:
        item = self.items[position]
        if mode == _REMOVED:
            claims.update({noun.kind: NONE for noun in item.nouns[:1] if noun.removable and noun.kind})
        elif mode == _FORMER:
            return
        elif item.what == "adjective":
            self._claim_adjective(position, claims)
        elif item.mention is not None and not (item.mention.is_noun_phrase and self._is_definite(item)):
            noun = item.mention.noun
            if noun.kind is not None:
                claims[noun.kind] = item.mention.value
            if item.colour and noun.colour is not None:
                self._claim_value(item.colour, noun.colour, claims)

    def _claim_adjective(self, position: int, claims: dict[str, str]) -> None:
        item = self.items[position]
        target = self._noun_ahead(position)
        if target is not None:
            if self._is_definite(item):
                return
        else:
            target = self._noun_behind(position) or self._noun_ahead(position, any_gap=True)
        attribute = self._attribute(item.word, target.nouns) if target else None
        meanings = self.lexicon.adjectives[item.word]
        if attribute is None and len(meanings) == 1:
            attribute = next(iter(meanings))
        if attribute is not None:
            self._claim_value(item.word, attribute, claims)

    def _claim_value(self, word: str, attribute: str, claims: dict[str, str]) -> None:
        value = self.lexicon.adjectives.get(word, {}).get(attribute)
        if value is not None:
            claims[attribute] = value

    def _claim_gone(self, position: int, claims: dict[str, str]) -> None:
        for item in reversed(self.items[:position]):
            if item.nouns:
                claims.update({noun.kind: NONE for noun in item.nouns[:1] if noun.removable and noun.kind})
                return

    def _attribute(self, word: str, nouns: tuple[Noun, ...]) -> str | None:
        meanings = self.lexicon.adjectives[word]
        own = (attribute for noun in nouns for attribute in (noun.colour, noun.kind))
        return next((attribute for attribute in own if attribute in meanings), None)

    def _noun_ahead(self, position: int, any_gap: bool = False) -> _Item | None:
        """Return the noun that follows the adjective: "red *pot*", "red ceramic *pot*"."""
        word, end = self.items[position].word, self.items[position].end
        following = self.items[position + 1 :]
        for item, next_item in zip_longest(following, following[1:]):
            gap = self.text[end : item.start].split()
            if item.what == "connector" and item.word == "for":
                end = item.end + len(" the")  # "red for the hair"
                continue
            if item.word == "," and not gap and next_item is not None and next_item.what == "adjective":
                end = item.end  # "a round, blue pot"
                continue
            if item.what in ("boundary", "former", "removed", "verb", "connector"):
                return None
            if not any_gap and (len(gap) > 2 or _STOP_WORDS & set(gap)):
                return None
            if item.nouns:
                return item if self._attribute(word, item.nouns) else None
            end = item.end
        return None

    def _noun_behind(self, position: int) -> _Item | None:
        """Return the last noun before the adjective that it can modify: "make the *pot* red"."""
        word = self.items[position].word
        before = reversed(self.items[:position])
        return next((item for item in before if item.nouns and self._attribute(word, item.nouns)), None)

    def _is_definite(self, item: _Item) -> bool:
        """Return whether the item is in a phrase with "the": then it refers to the reference."""
        start = max(
            (other.end for other in self.items if other.end <= item.start and other.what != "adjective"), default=0
        )
        return _DEFINITE.search(self.text[start : item.start]) is not None

    def _connector(self, position: int) -> str:
        """Return the pattern of the connector that introduces the new value; empty if no such connector follows."""
        connector = _CONNECTORS[self.items[position].word]
        for item in self.items[position + 1 :]:
            if item.what == "verb" and item.word != "from":
                return ""
            if item.what == "connector" and re.fullmatch(connector, item.word):
                return connector
        return ""

    def _continues_removal(self, position: int, mode: str) -> bool:
        """Return whether "and" joins another part to remove: "lose the ring and *the moons*"."""
        following = self.items[position + 1 : position + 2]
        if mode != _REMOVED or not following or not any(noun.removable for noun in following[0].nouns):
            return False
        between = self.text[self.items[position].start : following[0].start]
        return bool(_DETERMINER.search(between)) and not _COPULA.match(self.text[following[0].end :])

    def _find_items(self) -> list[_Item]:
        found = [*self._value_items(), *self._marker_items()]
        found.sort(key=lambda item: (item.start - item.end, item.start))
        taken: list[_Item] = []
        for item in found:
            if all(item.end <= other.start or item.start >= other.end for other in taken):
                taken.append(item)
        return sorted(taken, key=lambda item: item.start)

    def _value_items(self) -> list[_Item]:
        items = []
        for mention in self.lexicon.mentions:
            for match in mention.pattern.finditer(self.text):
                colour = match.groupdict().get("colour") or ""
                items.append(_Item(*match.span(), "mention", match[0], mention, (mention.noun,), colour))
        for pattern, nouns in self.lexicon.heads:
            items.extend(_Item(*match.span(), "head", match[0], nouns=nouns) for match in pattern.finditer(self.text))
        for match in self.lexicon.adjective_pattern.finditer(self.text):
            items.append(_Item(*match.span(), "adjective", match[0]))
        return items

    def _marker_items(self) -> list[_Item]:
        items = []
        for match in _VERB.finditer(self.text):
            stem = match["verb"] or match["from"]
            items.append(_Item(*match.span(), "verb", _STEMS.get(stem, stem)))
        markers = (
            (_FORMER_MARKER, "former"),
            (_REMOVED_MARKER, "removed"),
            (_GONE_MARKER, "gone"),
            (_BOUNDARY, "boundary"),
        )
        for pattern, what in markers:
            items.extend(_Item(*match.span(), what, match[0]) for match in pattern.finditer(self.text))
        items.extend(
            _Item(*match.span(), "connector", match[0])
            for match in re.finditer(r"\b(?:for|with|to|into|by)\b", self.text)
        )
        return items
