import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.synthesis_fakes import INSTRUCTION, filters
from likebut.synthesis.filters import (
    DuplicateCounter,
    FilterSettings,
    copies_instruction,
    is_empty,
    is_repeated,
    misses_round_trip,
    ordered_counts,
    words_of,
)

words = st.lists(st.sampled_from([f"w{number}" for number in range(400)]), min_size=1, max_size=20, unique=True)


def test_words_keep_hyphens_and_apostrophes_and_lose_punctuation() -> None:
    assert words_of("Don't: a V-neck, 2 CATS!") == ["don't", "a", "v-neck", "2", "cats"]


@pytest.mark.parametrize(("text", "empty"), [("", True), (" \n", True), ("?!…", True), ("_", True), ("2", False)])
def test_empty(text: str, empty: bool) -> None:
    assert is_empty(text) is empty


@pytest.mark.parametrize(
    ("text", "repeated"),
    [
        ("red red red", True),
        ("in red, in red, in red", True),
        ("more red, red, and red", False),
        ("make it blue, make it blue and make it blue", True),
        ("the dog and the cat and the dog", False),
        ("big big dog", False),
        ("a b a b a b", True),
        ("red dot blue dot red hat blue hat", False),
        ("the red and the red of the red and the blue", True),
        ("has longer sleeves and a longer hem than the other", False),
    ],
)
def test_repeated(text: str, repeated: bool) -> None:
    assert is_repeated(text) is repeated


@given(words)
def test_different_words_are_never_repeated(distinct: list[str]) -> None:
    assert not is_repeated(" ".join(distinct))


@given(words, words, words)
def test_a_phrase_three_times_in_a_row_is_repeated(before: list[str], phrase: list[str], after: list[str]) -> None:
    assert is_repeated(", ".join([*before, *phrase * 3, *after]))


@pytest.mark.parametrize(
    ("text", "copied"),
    [
        (INSTRUCTION, True),
        ("Change from one image to red", True),
        ("to the other image", True),
        ("one image", True),
        ("turn the dog to the other side", False),
        ("image", False),
        ("make it red", False),
        ("", False),
    ],
)
def test_copied_instruction(text: str, copied: bool) -> None:
    assert copies_instruction(text, INSTRUCTION) is copied


@pytest.mark.parametrize(
    ("rank", "worst", "missed"), [(1, 1, False), (2, 1, True), (5, 5, False), (None, 1, False), (9, None, False)]
)
def test_round_trip(rank: int | None, worst: int | None, missed: bool) -> None:
    assert misses_round_trip(rank, worst) is missed


@pytest.mark.parametrize(
    ("text", "rank", "reason"),
    [
        ("make it red", 1, None),
        ("", 9, "empty"),
        ("bad bad bad", 1, "blocked"),
        ("red red red", 1, "repeated"),
        ("how to change from one", 1, "copied instruction"),
        ("make it red", 6, "round trip"),
        ("make it red", None, None),
    ],
)
def test_the_first_reason_counts(text: str, rank: int | None, reason: str | None) -> None:
    assert filters(["bad"], round_trip_rank=5).reason_to_drop(text, rank) == reason


def test_duplicates_ignore_case_and_punctuation() -> None:
    same = DuplicateCounter(2)
    assert [same.exceeds_limit(text) for text in ("In red", "in red.", "in blue", "IN RED")] == [
        False,
        False,
        False,
        True,
    ]
    assert not any(DuplicateCounter(None).exceeds_limit("in red") for _ in range(100))


def test_the_limit_grows_with_the_run() -> None:
    settings = FilterSettings(same_text_share=0.01, same_text_least=20)
    assert [settings.same_text_limit(pairs) for pairs in (10, 2000, 30_000)] == [20, 20, 300]
    assert FilterSettings(same_text_share=None).same_text_limit(10) is None


def test_counts_are_ordered() -> None:
    assert list(ordered_counts({"round trip": 2, "kept": 1, "empty": 3})) == ["kept", "empty", "round trip"]
    assert ordered_counts({}) == {"kept": 0}
