import pytest

from likebut.research.clothing.claims import claims_of, new_claims


def said(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for claim in claims_of(text):
        found.setdefault(claim.attribute, set()).add("/".join(sorted(claim.values)))
    return found


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("in navy", {"colour": {"navy"}}),
        ("Make it a charcoal jumper", {"colour": {"dark grey"}, "type": {"sweater"}}),
        ("tartan tee, not black", {"pattern": {"checked"}, "type": {"t-shirt"}}),
        ("striped instead of plain, in red", {"pattern": {"striped"}, "colour": {"red"}}),
        ("is navy rather than black with a white collar", {"colour": {"navy", "white"}}),
        ("no stripes or dots, one pocket, sage", {"colour": {"green"}}),
        ("black leather in place of the denim", {"colour": {"black"}}),
        ("swap the floral for gingham", {"pattern": {"checked"}}),
        ("change the fruit print to mint green with white dots",
         {"colour": {"green/turquoise", "white"}, "pattern": {"dotted"}}),
        ("turn it into a dress", {"type": {"dress"}}),
        ("off-white with cap sleeves", {"colour": {"cream/white"}}),
        ("low-top trainers", {"type": {"sneakers"}}),
        ("longer, softer", {}),
        ("without the hoodie, just a redder one", {}),
    ],
)  # fmt: skip
def test_words_are_parsed_except_negated_and_former_ones(text: str, claims: dict[str, set[str]]) -> None:
    assert said(text) == claims


def test_navy_black_and_dark_grey_are_distinct() -> None:
    meanings = [claim.values for word in ("navy", "black", "dark grey") for claim in claims_of(word)]
    assert meanings == [{"navy"}, {"black"}, {"dark grey"}]


def test_naming_a_value_of_the_reference_claims_nothing() -> None:
    reference = {"type": "t-shirt", "colour": "navy", "second colour": "white", "pattern": "plain"}
    assert not new_claims("a plain navy tee", reference)
    [claim] = new_claims("a plain white tee", reference)
    assert claim.values == {"white"}
