from likebut.generator.consensus import agreed_text


def test_a_clause_that_enough_texts_have_is_written() -> None:
    texts = ["as a dress, in red", "in red", "in red, striped", "in red"]
    assert agreed_text(texts, 0.25) == "as a dress, in red"
    assert agreed_text(texts, 0.5) == "in red"


def test_clauses_keep_the_order_that_they_have_in_the_texts() -> None:
    texts = ["as a dress, in red, striped"] * 2 + ["in red, striped", "striped"]
    assert agreed_text(texts, 0.5) == "as a dress, in red, striped"


def test_of_clauses_that_never_stand_together_the_commoner_is_written() -> None:
    texts = ["in navy", "in navy, plain", "in navy", "in black", "in black, plain", "striped"]
    assert agreed_text(texts, 0.3) == "in navy, plain"


def test_clauses_may_be_joined_by_and() -> None:
    texts = [
        "a pink planet and a thin ring",
        "a pink planet",
        "a thin ring and a red star and a pink planet",
        "a pink moon",
    ]
    assert agreed_text(texts, 0.5) == "a pink planet and a thin ring"
    assert agreed_text(["in red and striped, with a hood"] * 2, 0.5) == "in red, striped, with a hood"


def test_without_a_common_clause_it_is_the_text_most_like_the_others() -> None:
    texts = ["make it red", "make it long", "make it red or long", "shorter sleeves"]
    assert agreed_text(texts, 0.5) == "make it red or long"


def test_silence_is_agreed_on_too() -> None:
    assert agreed_text(["", "", ""], 0.25) == ""
    assert agreed_text(["", ", ,", ""], 0.25) == ""
