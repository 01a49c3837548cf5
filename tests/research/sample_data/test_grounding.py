import pytest

from likebut.research.sample_data.grounding import Grounding, measure_grounding

RED_POT = {"pot colour": "red", "mouth": "smile"}
BLUE_FROWN = {"pot colour": "blue", "mouth": "frown"}


def test_worked_by_hand() -> None:
    rows = [
        (RED_POT, BLUE_FROWN, "a blue pot"),  # 1 of 1 claims correct, 1 of 2 changes claimed
        (RED_POT, BLUE_FROWN, "a green pot, and make it frown"),  # 1 of 2 claims correct, 1 of 2 changes claimed
        (RED_POT, BLUE_FROWN, ""),  # no claim, 2 changes missed
    ]
    grounding = measure_grounding(rows)
    assert grounding == Grounding(correct=2, claimed=3, true=6)
    assert grounding.precision == pytest.approx(2 / 3)
    assert grounding.recall == pytest.approx(1 / 3)
    assert grounding.f1 == pytest.approx(4 / 9)


def test_claims_about_absent_attributes_lower_precision() -> None:
    grounding = measure_grounding([(RED_POT, BLUE_FROWN, "a blue pot, a frown and a thick ring")])
    assert grounding == Grounding(correct=2, claimed=3, true=2)


def test_no_rows() -> None:
    assert measure_grounding([]).f1 == 0.0
