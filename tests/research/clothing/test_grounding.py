from random import Random

import pytest

from likebut.research.clothing.annotations import load_photographs, load_triplets
from likebut.research.clothing.attributes import attributes_of
from likebut.research.clothing.derived_triplets import DerivedTriplets
from likebut.research.clothing.grounding import ATTRIBUTES, measure_clothing_grounding, true_changes

TEE = {"type": "t-shirt", "colour": "navy", "second colour": "none", "pattern": "plain"}
DRESS = {"type": "dress", "colour": "red", "second colour": "white", "pattern": "dotted"}


def test_worked_by_hand() -> None:
    rows = [
        (TEE, DRESS, "a red dress with white dots"),  # four claims, all right; all three changes named
        (TEE, DRESS, "green and striped"),  # two claims, both wrong; nothing named
        (DRESS, TEE, "as a tee, no dots"),  # one claim, right; colour and pattern unsaid
    ]
    grounding = measure_clothing_grounding(rows)
    assert (grounding.supported, grounding.claimed, grounding.named, grounding.true) == (5, 7, 4, 9)
    assert grounding.precision == pytest.approx(5 / 7) and grounding.recall == pytest.approx(4 / 9)
    assert grounding.f1 == pytest.approx(2 * (5 / 7) * (4 / 9) / (5 / 7 + 4 / 9))
    assert measure_clothing_grounding(rows, ("type",)).claimed == 2


def test_no_claim_gives_zero() -> None:
    grounding = measure_clothing_grounding([(TEE, DRESS, "nicer")])
    assert grounding.precision == grounding.recall == grounding.f1 == 0.0


def test_values_that_cannot_be_named_are_not_changes() -> None:
    assert true_changes(TEE, TEE | {"pattern": "other", "colour": "black"}) == {"colour": "black"}


def test_a_second_colour_supports_a_claim_but_need_not_be_named() -> None:
    target = TEE | {"colour": "black", "second colour": "red"}
    both = measure_clothing_grounding([(TEE, target, "black with red"), (TEE, target, "black")])
    assert (both.supported, both.claimed, both.named, both.true) == (3, 3, 2, 2)


def test_the_grammar_s_plain_texts_are_parsed() -> None:
    training = [photograph for photograph in load_photographs().values() if photograph.split == "train"][:800]
    attributes = {photograph.image: attributes_of(photograph) for photograph in training}
    plain = [triplet for triplet in DerivedTriplets(training).write(2) if triplet.meta["register"] == "plain"]
    grounding = measure_clothing_grounding(
        (attributes[triplet.reference], attributes[triplet.target], triplet.modification) for triplet in plain
    )
    assert len(plain) > 300 and grounding.f1 > 0.97


def test_written_texts_score_far_above_the_shuffled_image_control() -> None:
    attributes = {name: attributes_of(photograph) for name, photograph in load_photographs().items()}
    triplets = [triplet for triplet in load_triplets() if triplet.split == "val"]
    pairs = [(attributes[triplet.reference], attributes[triplet.target]) for triplet in triplets]
    texts = [triplet.modification for triplet in triplets]

    def f1(written: list[str], names: tuple[str, ...] = ATTRIBUTES) -> float:
        rows = ((*pair, text) for pair, text in zip(pairs, written, strict=True))
        return 100 * measure_clothing_grounding(rows, names).f1

    # The figures that docs/clothing.md gives.
    assert f1(texts) == pytest.approx(67.8, abs=0.1)
    assert [round(f1(texts, (name,)), 1) for name in ATTRIBUTES] == [68.7, 75.8, 54.4]
    assert f1(Random(1).sample(texts, len(texts))) < 10
