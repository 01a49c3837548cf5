from likebut.data.triplets import Triplet
from likebut.research.ablations.material import composed

CAPTIONS = {"red": ["a red tee."], "blue": ["a blue shirt"]}
THERE, BACK = Triplet("red", "blue", "written", reverse_modification="turned"), Triplet("blue", "red", "turned")


def test_a_text_names_the_target_first_and_keeps_to_the_captions() -> None:
    texts = {composed([THERE], CAPTIONS, seed)[0].modification for seed in range(40)}
    assert texts == {
        "a blue shirt",
        "a blue shirt instead of a red tee",
        "change it to a blue shirt",
        "a blue shirt, not a red tee",
    }


def test_a_reverse_text_is_the_other_directions_text_and_stays_absent_where_it_was() -> None:
    there, back = composed([THERE, BACK], CAPTIONS, seed=3)
    assert there.reverse_modification == back.modification and "red tee" in back.modification
    assert back.reverse_modification is None
    assert (there.reference, there.target) == ("red", "blue")
