"""Words that nobody should be shown, whatever a generator writes.

The list is that of the package ``glin-profanity`` (MIT; English), with what ``blocklist.json`` adds (names and signs of
hate movements, which a word list of swearing lacks) and takes out (words and phrases that plainly describe pictures:
"nude" is a colour, "a single strap on the left shoulder" a cut; found by running the list over 75,000 modification
texts of CIRR, FashionIQ, CIRCO and the photographs of clothing).
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from likebut.data.synthetic_triplets import KEPT, SyntheticRow
from likebut.errors import InputError, MissingDependencyError, require_extra
from likebut.files import fingerprint
from likebut.progress import notice

_LANGUAGE = "english"
_PLURAL = r"(?:s|(?<=[sxz])es|(?<=[cs]h)es)?"


class Blocklist:
    """Finds blocked words and phrases in a text, as whole words, in any case, in singular or plural.

    Args:
        words: Words and phrases.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(sorted({" ".join(word.casefold().split()) for word in words} - {""}))
        longest_first = sorted(self.words, key=len, reverse=True)
        alternatives = "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in longest_first)
        # A look-around, not \b: an entry may begin or end with a sign ("a$$").
        self._pattern = re.compile(rf"(?<!\w)(?:{alternatives}){_PLURAL}(?!\w)") if self.words else None

    @classmethod
    def load(cls, own_words: Path | None = None) -> "Blocklist":
        """Return the default list, changed by a file of one's own if there is one.

        Args:
            own_words: A text file with a word or phrase a line; one that begins with "!" takes a word out of the
                list, "#" begins a comment.

        Raises:
            InputError: ``own_words`` is missing or not a text file.
        """
        changes = json.loads((files(__package__) / "blocklist.json").read_text(encoding="utf-8"))
        words = (_profanities() | set(changes["added"])) - set(changes["allowed"])
        for line in _lines(own_words) if own_words else []:
            if line.startswith("!"):
                words.discard(line[1:].strip().casefold())
            else:
                words.add(line.casefold())
        return cls(words)

    def find(self, text: str) -> str | None:
        """Return the first blocked word or phrase in ``text``, or None."""
        found = self._pattern.search(text.casefold()) if self._pattern else None
        return found[0] if found else None

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that differ when the list differs."""
        return fingerprint(self.words)


def _profanities() -> set[str]:
    """Return the English list of ``glin-profanity``; empty, with a notice, without the extra ``research``."""
    try:
        with require_extra("research"):
            from glin_profanity.data.dictionary import dictionary
    except MissingDependencyError as error:
        notice(f"The list of blocked words lacks its profanities. {error}")
        return set()
    return set(dictionary.get_words(_LANGUAGE))


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"There is no file {path}.", "Give a text file with a blocked word a line.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file.", "Give a text file in UTF-8.") from None
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


REASONS = ("empty", "blocked", "repeated", "copied instruction", "round trip", "duplicate")
Reason = Literal["empty", "blocked", "repeated", "copied instruction", "round trip", "duplicate"]

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_REPEATS = 3
_LONG_TEXT = 8
_DISTINCT_SHARE = 0.5
_COPIED_WORDS = 4


class FilterSettings(BaseModel):
    """How strict the filters are.

    Attributes:
        round_trip_rank: The target must be among this many best of the reference's neighbours; None leaves the round
            trip out, as does a run without a retriever.
        same_text_share: A text may be that of at most this share of the pairs; the pairs after those are duplicates.
            None leaves the filter out.
        same_text_least: A text may be that of this many pairs however few pairs there are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    round_trip_rank: int | None = Field(default=5, ge=1)
    same_text_share: float | None = Field(default=0.01, gt=0.0, le=1.0)
    same_text_least: int = Field(default=20, ge=1)

    def same_text_limit(self, pairs: int) -> int | None:
        """Return how many of ``pairs`` may have one text, or None for any number."""
        if self.same_text_share is None:
            return None
        return max(self.same_text_least, int(self.same_text_share * pairs))


def words_of(text: str) -> list[str]:
    """Return the words of ``text`` in lower case, without punctuation."""
    return _WORD.findall(text.casefold())


def is_empty(text: str) -> bool:
    """Return whether ``text`` has not one word."""
    return not words_of(text)


def is_repeated(text: str) -> bool:
    """Return whether a word or phrase comes three times on end, or fewer than half of a long text's words differ.

    Of 75,000 modification texts of CIRR, FashionIQ, CIRCO and clothing, none is.
    """
    words = words_of(text)
    if len(words) >= _LONG_TEXT and len(set(words)) < _DISTINCT_SHARE * len(words):
        return True
    return any(_repeats_with_period(words, period) for period in range(1, len(words) // _REPEATS + 1))


def _repeats_with_period(words: list[str], period: int) -> bool:
    matching = 0
    for earlier, later in zip(words, words[period:], strict=False):
        matching = matching + 1 if earlier == later else 0
        if matching >= period * (_REPEATS - 1):
            return True
    return False


def copies_instruction(text: str, instruction: str) -> bool:
    """Return whether ``text`` has four words on end from ``instruction``, or all of its two or three."""
    words, source = words_of(text), words_of(instruction)
    length = min(_COPIED_WORDS, len(words))
    if length < 2:
        return False
    return not _runs(words, length).isdisjoint(_runs(source, length))


def _runs(words: list[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}


def misses_round_trip(rank: int | None, worst_rank: int | None) -> bool:
    """Return whether the retriever, given the text, puts the target below ``worst_rank``; no rank is no miss."""
    return rank is not None and worst_rank is not None and rank > worst_rank


@dataclass(frozen=True)
class Filters:
    """All of them together.

    Attributes:
        instruction: What the generator's language model is told, which it must not repeat.
    """

    settings: FilterSettings
    blocklist: Blocklist
    instruction: str

    def fault_of(self, text: str, rank: int | None) -> Reason | None:
        """Return the first thing that is wrong with a text by itself, or None.

        Args:
            text: What was written.
            rank: Of the target in the round trip; None if there was none.
        """
        if is_empty(text):
            return "empty"
        if self.blocklist.find(text) is not None:
            return "blocked"
        if is_repeated(text):
            return "repeated"
        if copies_instruction(text, self.instruction):
            return "copied instruction"
        if misses_round_trip(rank, self.settings.round_trip_rank):
            return "round trip"
        return None

    def identity(self) -> dict[str, Any]:
        """Return what the verdicts depend on besides the texts."""
        return {**self.settings.model_dump(), "blocklist": self.blocklist.fingerprint()}


class SameTexts:
    """Counts how many pairs had a text so far; a pair beyond the limit is a duplicate.

    Args:
        limit: How many pairs may have one text; None for any number.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()

    def is_one_too_many(self, text: str) -> bool:
        """Count ``text``, but for case and punctuation, and return whether that exceeds the limit."""
        key = " ".join(words_of(text))
        self._counts[key] += 1
        return self._limit is not None and self._counts[key] > self._limit


def in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """Return how often each status occurs: "kept" first, then every reason that occurs, in the filters' order."""
    return {status: counts.get(status, 0) for status in (KEPT, *REASONS) if status == KEPT or counts.get(status)}


def apply_filters(rows: Iterable[SyntheticRow], filters: Filters, pairs: int) -> Iterator[SyntheticRow]:
    """Yield ``rows`` with their verdicts.

    A pair is kept if its modification text is; its reverse text may be dropped by itself. How often a text was
    written is counted over the run in the rows' order, so the rows of all shards must come, in order.

    Args:
        rows: All rows of a run.
        filters: What to look for.
        pairs: How many rows the run has.
    """
    same_texts = SameTexts(filters.settings.same_text_limit(pairs))
    for row in rows:
        status = _verdict(row.modification, row.rank, filters, same_texts)
        reverse_status = None
        if status == KEPT and row.reverse_modification is not None:
            reverse_status = _verdict(row.reverse_modification, row.reverse_rank, filters, same_texts)
        yield replace(row, status=status, reverse_status=reverse_status)


def _verdict(text: str, rank: int | None, filters: Filters, same_texts: SameTexts) -> str:
    fault = filters.fault_of(text, rank)
    if fault is None and same_texts.is_one_too_many(text):
        return "duplicate"
    return fault or KEPT
