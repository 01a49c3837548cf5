"""Filters of generated texts: offensive words, degenerate texts, failed round trips, frequent duplicates.

The blocklist is that of the package ``glin-profanity`` (MIT; English). ``blocklist.json`` adds names and symbols of
hate movements, and allows words and phrases that describe images ("nude" is a colour, "a single strap on the left
shoulder" a cut), found by running the list over 75,000 modification texts of CIRR, FashionIQ, CIRCO and the clothing
photographs.
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
    """Finds blocked words and phrases: whole words, in any case, singular or plural.

    Args:
        words: Blocked words and phrases.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(sorted({" ".join(word.casefold().split()) for word in words} - {""}))
        longest_first = sorted(self.words, key=len, reverse=True)
        alternatives = "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in longest_first)
        # Not \b: an entry may begin or end with a symbol ("a$$").
        self._pattern = re.compile(rf"(?<!\w)(?:{alternatives}){_PLURAL}(?!\w)") if self.words else None

    @classmethod
    def load(cls, own_words: Path | None = None) -> "Blocklist":
        """Return the default list with the user's changes.

        Args:
            own_words: Text file with one word or phrase per line; "!" before one allows it, "#" begins a comment.

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
        """Return 16 hexadecimal digits that identify the list."""
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
        raise InputError(
            f"{path} does not exist.", "Give a text file with one word per line.", code="missing-file"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text.", "Give a text file in UTF-8.", code="not-utf-8") from None
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
    """Thresholds of the filters.

    Attributes:
        round_trip_rank: Maximum rank of the target among the reference's neighbours; None disables the round trip, as
            does a run without a retriever.
        same_text_share: Maximum fraction of the pairs with one and the same text; further pairs are duplicates. None
            disables the filter.
        same_text_least: Number of pairs that may have the same text in any case.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    round_trip_rank: int | None = Field(default=5, ge=1)
    same_text_share: float | None = Field(default=0.01, gt=0.0, le=1.0)
    same_text_least: int = Field(default=20, ge=1)

    def same_text_limit(self, pairs: int) -> int | None:
        """Return how many of ``pairs`` pairs may have the same text; None for any number."""
        if self.same_text_share is None:
            return None
        return max(self.same_text_least, int(self.same_text_share * pairs))


def words_of(text: str) -> list[str]:
    """Return the words of ``text`` in lower case, without punctuation."""
    return _WORD.findall(text.casefold())


def is_empty(text: str) -> bool:
    """Return whether ``text`` has no word."""
    return not words_of(text)


def is_repeated(text: str) -> bool:
    """Return whether ``text`` is degenerate.

    That is: a word or phrase occurs three times in a row, or fewer than half of a long text's words are distinct. None
    of 75,000 modification texts of CIRR, FashionIQ, CIRCO and clothing is.
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
    """Return whether ``text`` has four consecutive words of ``instruction``, or consists of two or three of them."""
    words, source = words_of(text), words_of(instruction)
    length = min(_COPIED_WORDS, len(words))
    if length < 2:
        return False
    return not _runs(words, length).isdisjoint(_runs(source, length))


def _runs(words: list[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}


def misses_round_trip(rank: int | None, worst_rank: int | None) -> bool:
    """Return whether the target's rank in the round trip is above ``worst_rank``; False without a rank."""
    return rank is not None and worst_rank is not None and rank > worst_rank


@dataclass(frozen=True)
class Filters:
    """The filters of a run.

    Attributes:
        instruction: The generator's instruction, which texts must not repeat.
    """

    settings: FilterSettings
    blocklist: Blocklist
    instruction: str

    def reason_to_drop(self, text: str, rank: int | None) -> Reason | None:
        """Return why a text is dropped, or None; duplicates are not considered.

        Args:
            text: The generated text.
            rank: Rank of the target in the round trip; None without one.
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
        """Return what the results depend on besides the texts."""
        return {**self.settings.model_dump(), "blocklist": self.blocklist.fingerprint()}


class DuplicateCounter:
    """Counts how many pairs have the same text.

    Args:
        limit: Maximum number of pairs with the same text; None for any number.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()

    def exceeds_limit(self, text: str) -> bool:
        """Count ``text``, ignoring case and punctuation, and return whether its count exceeds the limit."""
        key = " ".join(words_of(text))
        self._counts[key] += 1
        return self._limit is not None and self._counts[key] > self._limit


def ordered_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts in order: "kept" first, then the reasons that occur, in the order of the filters."""
    return {status: counts.get(status, 0) for status in (KEPT, *REASONS) if status == KEPT or counts.get(status)}


def apply_filters(rows: Iterable[SyntheticRow], filters: Filters, pairs: int) -> Iterator[SyntheticRow]:
    """Yield ``rows`` with ``status`` and ``reverse_status``.

    A pair is kept if its modification text is; its reverse text may be dropped alone. Duplicates are counted over the
    whole run.

    Args:
        rows: All rows of the run, in order.
        filters: The filters.
        pairs: Number of rows of the run.
    """
    duplicates = DuplicateCounter(filters.settings.same_text_limit(pairs))
    for row in rows:
        status = _status(row.modification, row.rank, filters, duplicates)
        reverse_status = None
        if status == KEPT and row.reverse_modification is not None:
            reverse_status = _status(row.reverse_modification, row.reverse_rank, filters, duplicates)
        yield replace(row, status=status, reverse_status=reverse_status)


def _status(text: str, rank: int | None, filters: Filters, duplicates: DuplicateCounter) -> str:
    reason = filters.reason_to_drop(text, rank)
    if reason is None and duplicates.exceeds_limit(text):
        return "duplicate"
    return reason or KEPT
