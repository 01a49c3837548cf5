import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likebut.generator.consensus import consensus_text


def test_frequent_clauses_are_written() -> None:
    texts = ["as a dress, in red", "in red", "in red, striped", "in red"]
    assert consensus_text(texts, 0.25) == "as a dress, in red"
    assert consensus_text(texts, 0.5) == "in red"


def test_clauses_keep_their_order() -> None:
    texts = ["as a dress, in red, striped"] * 2 + ["in red, striped", "striped"]
    assert consensus_text(texts, 0.5) == "as a dress, in red, striped"


def test_of_exclusive_clauses_the_more_frequent_is_written() -> None:
    texts = ["in navy", "in navy, plain", "in navy", "in black", "in black, plain", "striped"]
    assert consensus_text(texts, 0.3) == "in navy, plain"


def test_clauses_of_several_texts_are_combined() -> None:
    texts = ["as a coat, in red"] * 2 + ["in red, striped"] * 2 + ["as a coat, striped"] * 2
    assert set(consensus_text(texts, 0.5).split(", ")) == {"as a coat", "in red", "striped"}


def test_case_and_punctuation_do_not_count() -> None:
    texts = ["Red, striped."] * 5 + ["red, striped"] * 5 + ["plain"] * 6
    assert consensus_text(texts, 0.15) == "Red, striped."
    assert consensus_text(["Long-sleeved"] * 2 + ["long sleeved "] * 2 + ["short"] * 3, 0.5) == "Long-sleeved"


@pytest.mark.parametrize(
    "text",
    [
        "is longer, has black and white stripes",
        "has black and white stripes and is longer",
        "in red and striped, with a hood",
        "with a hood and with short sleeves; plain",
        "costs 12,50 and has 10,000 beads",
    ],
)
def test_a_unanimous_text_is_returned_unchanged(text: str) -> None:
    assert consensus_text([text] * 16, 0.15) == text


def test_coordinated_phrases_are_not_split() -> None:
    texts = ["in black and white, striped"] * 3 + ["in black and white, with a hood"] * 3 + ["in black and grey"] * 2
    assert consensus_text(texts, 0.5) in ("in black and white", "in black and white, striped")
    assert consensus_text(["has black and white stripes"] * 3 + ["has black and red stripes"] * 3, 0.6) in (
        "has black and white stripes",
        "has black and red stripes",
    )


def test_and_separates_clauses_of_one_kind_or_of_other_texts() -> None:
    texts = [
        "a pink planet and a thin ring",
        "a pink planet",
        "a thin ring and a red star and a pink planet",
        "a pink moon",
    ]
    assert consensus_text(texts, 0.5) == "a pink planet and a thin ring"
    assert consensus_text(["red and striped", "red", "striped, plain", "red, long"], 0.7) == "red"
    assert consensus_text(["is longer and has a hood", "has a hood", "is red and has a hood"], 0.7) == "has a hood"


def test_and_separates_noun_phrases() -> None:
    texts = ["sunglasses and a hat", "sunglasses and a beard", "yellow hair and sunglasses", "yellow hair and a hat"]
    assert consensus_text(texts, 0.75) == "sunglasses"
    assert consensus_text(["with red and white stripes", "with red and blue dots", "with red"], 0.9) in texts + [
        "with red and white stripes",
        "with red",
    ]


def test_a_clause_that_occurs_alone_is_separated_from_what_follows() -> None:
    texts = ["a striped shirt"] * 8 + ["a striped shirt and black hair"] * 5 + ["a striped shirt and a hat"] * 3
    assert consensus_text(texts, 0.15) == "a striped shirt and black hair"
    assert consensus_text(["a black and white dress"] * 3 + ["a dress"] * 4, 0.4) in (
        "a dress",
        "a black and white dress",
    )


def test_a_trailing_and_does_not_count() -> None:
    assert consensus_text(["a suit and a goatee"] * 2 + ["a suit and a goatee and"] + ["a suit"] * 13, 0.15) == (
        "a suit and a goatee"
    )


def test_without_a_frequent_clause_the_most_similar_text_is_returned() -> None:
    texts = ["make it red", "make it long", "make it red or long", "shorter sleeves"]
    assert consensus_text(texts, 0.5) == "make it red or long"


def test_empty_texts() -> None:
    assert consensus_text(["", "", ""], 0.25) == ""
    assert consensus_text(["", ", ,", ""], 0.25) == ""


WORDS = st.sampled_from(["in red", "in black", "striped", "with a hood", "has black and white stripes", "is longer"])
TEXTS = st.lists(st.lists(WORDS, min_size=1, max_size=4).map(", ".join), min_size=1, max_size=16)
SHARES = st.sampled_from([0.1, 0.15, 0.4, 1.0])


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


@given(text=st.text(alphabet=string.ascii_letters + " ,;.-'é7", max_size=40), count=st.integers(1, 16), share=SHARES)
def test_unanimity_holds_for_any_text(text: str, count: int, share: float) -> None:
    assert consensus_text([text] * count, share) == text


@given(texts=TEXTS, share=SHARES, data=st.data())
def test_surface_changes_do_not_change_the_words(texts: list[str], share: float, data: st.DataObject) -> None:
    forms = [str.upper, str.title, str.lower, lambda text: f" {text}.", lambda text: text.replace(" ", "  ") + " !"]
    changed = [data.draw(st.sampled_from(forms))(text) for text in texts]
    assert words(consensus_text(changed, share)) == words(consensus_text(texts, share))


@given(texts=TEXTS, share=SHARES)
def test_every_clause_has_the_frequency_and_stays_whole(texts: list[str], share: float) -> None:
    found = consensus_text(texts, share)
    if found in texts:
        return
    clauses = found.split(", ")
    assert all(sum(clause in text.split(", ") for text in texts) >= share * len(texts) for clause in clauses)
