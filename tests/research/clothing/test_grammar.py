from random import Random

import pytest

from likebut.research.clothing.attributes import NONE
from likebut.research.clothing.grammar import FreeGrammar, can_be_requested, load_phrases, write_plain

TEE = {"type": "t-shirt", "colour": "navy", "second colour": "white", "pattern": "striped", "sleeves": "short"}


def free_texts(reference: dict[str, str], target: dict[str, str], changes: dict[str, str], **more: str) -> set[str]:
    return {FreeGrammar(Random(seed)).write(reference, target, changes, **more) for seed in range(200)}


def test_plain_text_names_every_change_in_a_fixed_order() -> None:
    changes = {"sleeves": "long", "colour": "dark grey", "type": "trousers", "hood": NONE, "pattern": "text print"}
    assert write_plain(changes) == "as trousers, in dark grey, with lettering, with long sleeves, without a hood"
    assert write_plain({"type": "hoodie"}) == "as a hoodie"


def test_every_value_except_other_can_be_requested() -> None:
    assert not can_be_requested("type", "other") and not can_be_requested("pattern", "other")
    for name, values in load_phrases().values.items():
        assert all(can_be_requested(name, value) for value in values if value != "other")


def test_colour_clauses_vary_and_always_name_the_colour() -> None:
    texts = free_texts(TEE, TEE | {"colour": "burgundy"}, {"colour": "burgundy"})
    assert len(texts) > 25
    assert all(any(word in text.lower() for word in ("burgundy", "maroon", "wine red")) for text in texts)
    assert any("instead of" in text or "rather than" in text for text in texts)


def test_comparatives_have_the_right_direction() -> None:
    longer = free_texts(TEE, TEE | {"sleeves": "long"}, {"sleeves": "long"})
    assert any("longer sleeves" in text for text in longer) and not any("shorter" in text for text in longer)
    lighter = free_texts(TEE, TEE | {"colour": "light blue"}, {"colour": "light blue"})
    assert any("lighter" in text for text in lighter) and not any("darker" in text for text in lighter)


def test_a_lost_value_is_named_unless_another_print_replaces_it() -> None:
    printed = TEE | {"pattern": "graphic print"}
    assert any("no print" in text for text in free_texts(printed, TEE | {"pattern": "plain"}, {"pattern": "plain"}))
    texts = free_texts(printed, TEE | {"pattern": "text print"}, {"pattern": "text print"})
    assert not any("no print" in text or "nothing printed" in text for text in texts)


def test_a_detail_is_present_unless_the_caption_replaces_the_text() -> None:
    texts = free_texts(TEE, TEE | {"colour": "red"}, {"colour": "red"}, detail="a round badge")
    assert all("round badge" in text for text in texts)
    captions = free_texts(TEE, TEE | {"colour": "red"}, {"colour": "red"}, caption="Red tee with a big anchor")
    assert any("anchor" in text for text in captions) and any("anchor" not in text for text in captions)


@pytest.mark.parametrize("kind", ["trousers", "t-shirt", "other", "sneakers"])
def test_every_type_can_be_the_reference(kind: str) -> None:
    assert all(free_texts(TEE | {"type": kind}, TEE | {"type": "dress"}, {"type": "dress"}))
