"""Consensus decoding: one text from many samples, made of the clauses that enough of them have.

The most likely text omits what is less likely than not: a colour of probability 40 % beside five others of 10 %.
Under F1, naming a change pays from about half of the reachable F1 (Lipton et al., "Optimal Thresholding of Classifiers
to Maximize F1 Measure", ECML 2014). So many texts are sampled, and every clause of a minimum frequency is written.

Clauses are compared by their words: case, punctuation and white space do not count.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set

# A comma between digits is part of a number.
_SEPARATOR = re.compile(r"\s*(?:;|,(?!\d)|(?<!\d),)\s*(?:and\b\s*)?|\s+and$", re.IGNORECASE)
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)
_WORD = re.compile(r"\w+")

# First words that tell what a side of "and" is: "has a hood and is longer" has two clauses, "has black and white
# stripes" one.
_DETERMINERS = frozenset({"a", "an", "the", "one", "two", "three", "no", "more", "fewer", "less"})
_PREPOSITIONS = frozenset({"in", "on", "with", "without", "as", "for", "of", "at", "like", "instead"})
_VERBS = frozenset(
    {"is", "are", "was", "has", "have", "had", "does", "shows", "looks", "make", "makes", "add", "remove"}
)


def consensus_text(texts: Sequence[str], share: float) -> str:
    """Return the clauses that at least ``share`` of ``texts`` have, in the order that they have there.

    Clauses are chosen by frequency. A clause that occurs in no text together with an earlier choice is taken for its
    contradiction and left out: of "in navy" and "in black" the more frequent is written. If a text has exactly the
    chosen clauses, it is returned as it stands. If no clause is frequent enough, as in free prose, the text that has
    most words in common with the others is returned.

    Args:
        texts: Samples for one pair of images. Commas and semicolons separate clauses. "and" does where both sides are
            clauses of other samples, begin alike ("with a hood and with short sleeves"), or are noun phrases.
        share: Minimum frequency, between 0 and 1.
    """
    split, separator = _split_into_clauses(texts)
    keys = [[_key(clause) for clause in clauses] for clauses in split]
    counts = Counter(key for text in keys for key in text)
    chosen: list[str] = []
    for key, count in counts.most_common():
        if count >= share * len(texts) and all(_occur_together(key, other, keys) for other in chosen):
            chosen.append(key)
    if not chosen:
        return _most_similar_text(texts)
    exact = [text for text, own in zip(texts, keys, strict=True) if set(own) == set(chosen)]
    if exact:
        [(wording, _)] = Counter(map(_key, exact)).most_common(1)
        return Counter(text for text in exact if _key(text) == wording).most_common(1)[0][0]
    forms = Counter(clause for clauses in split for clause in clauses)
    form = {_key(clause): clause for clause, _ in reversed(forms.most_common())}
    return separator.join(form[key].strip(" .!?") for key in sorted(chosen, key=lambda key: _mean_position(key, keys)))


def _split_into_clauses(texts: Sequence[str]) -> tuple[list[list[str]], str]:
    """Return each text's different clauses, and what separates clauses in most of the texts that have several."""
    segments = [[part for part in _SEPARATOR.split(text) if _key(part)] for text in texts]
    # What stands next to each side of "and"; a segment of its own stands next to nothing, "".
    partners: dict[str, set[str]] = {}
    for segment in (segment for parts in segments for segment in parts):
        partners.setdefault(_key(segment), set()).add("")
        sides = [_key(side) for side in _AND.split(segment)]
        for left, right in zip(sides, sides[1:], strict=False):
            partners.setdefault(left, set()).add(right)
            partners.setdefault(right, set()).add(left)
    split = [[clause for part in parts for clause in _split_at_and(part, partners)] for parts in segments]
    with_comma = sum(len(parts) > 1 for parts in segments)
    with_and = sum(len(clauses) > len(parts) for clauses, parts in zip(split, segments, strict=True))
    different = [list({_key(clause): clause for clause in clauses}.values()) for clauses in split]
    return different, " and " if with_and > with_comma else ", "


def _split_at_and(segment: str, partners: Mapping[str, Set[str]]) -> list[str]:
    """Return the clauses of a text between commas."""
    clauses: list[str] = []
    for part in _AND.split(segment):
        if clauses and not _are_clauses(_key(clauses[-1]), _key(part), partners):
            clauses[-1] = f"{clauses[-1]} and {part}"
        else:
            clauses.append(part)
    return clauses


def _are_clauses(left: str, right: str, partners: Mapping[str, Set[str]]) -> bool:
    """Return whether both sides of "and" are clauses; where in doubt, they are one coordinated phrase."""
    if not left or not right:
        return False
    around = [partners.get(side, set()) for side in (left, right)]
    first, second = left.split()[0], right.split()[0]
    if all("" in found for found in around):
        return True
    if any(first in kind and second in kind for kind in (_DETERMINERS, _PREPOSITIONS, _VERBS)):
        return True
    if first in _PREPOSITIONS or first in _VERBS:
        return False  # which may govern both sides
    # A part of a coordinated phrase, "a black" of "a black and white dress", is hardly ever a clause of its own.
    return second in _DETERMINERS or "" in around[0] or all(len(found) > 1 for found in around)


def _key(clause: str) -> str:
    """Return what clauses are compared by: words in lower case; signs where there are no words."""
    folded = clause.casefold()
    return " ".join(_WORD.findall(folded)) or "".join(folded.split()).strip(".,;:!?'\"-")


def _occur_together(one: str, other: str, texts: Sequence[Sequence[str]]) -> bool:
    return any(one in text and other in text for text in texts)


def _mean_position(key: str, texts: Sequence[Sequence[str]]) -> float:
    """Return the mean position of a clause in its texts: 0 at the beginning, towards 1 at the end."""
    positions = [text.index(key) / len(text) for text in texts if key in text]
    return sum(positions) / len(positions)


def _most_similar_text(texts: Sequence[str]) -> str:
    """Return the text with the best mean F1 of its words against all texts; the first of equals."""
    words = [set(_key(text).split()) for text in texts]
    return texts[max(range(len(texts)), key=lambda index: sum(_word_f1(words[index], other) for other in words))]


def _word_f1(one: set[str], other: set[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0
