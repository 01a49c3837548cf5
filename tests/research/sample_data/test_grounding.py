import pytest

from likebut.research.grounding import Grounding, measure_grounding

RED_POT = {"pot colour": "red", "mouth": "smile"}
BLUE_FROWN = {"pot colour": "blue", "mouth": "frown"}


def test_worked_by_hand() -> None:
    rows = [
        (RED_POT, BLUE_FROWN, "a blue pot"),  # 1 of 1 claimed right, 1 of 2 true found
        (RED_POT, BLUE_FROWN, "a green pot, and make it frown"),  # 1 of 2 claimed right, 1 of 2 found
        (RED_POT, BLUE_FROWN, ""),  # nothing claimed, 2 missed
    ]
    grounding = measure_grounding(rows)
    assert grounding == Grounding(right=2, claimed=3, true=6)
    assert grounding.precision == pytest.approx(2 / 3)
    assert grounding.recall == pytest.approx(1 / 3)
    assert grounding.f1 == pytest.approx(4 / 9)


def test_foreign_attributes_cost_precision() -> None:
    grounding = measure_grounding([(RED_POT, BLUE_FROWN, "a blue pot, a frown and a thick ring")])
    assert grounding == Grounding(right=2, claimed=3, true=2)


def test_nothing_at_all() -> None:
    assert measure_grounding([]).f1 == 0.0
