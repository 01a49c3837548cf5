from likebut.data.triplets import Triplet
from likebut.research.ablations.data import compose_from_captions

CAPTIONS = {"red": ["a red tee."], "blue": ["a blue shirt"]}
FORWARD, BACKWARD = Triplet("red", "blue", "forward", reverse_modification="reverse"), Triplet("blue", "red", "reverse")


def test_a_composed_text_starts_with_the_target_and_contains_only_the_captions() -> None:
    texts = {compose_from_captions([FORWARD], CAPTIONS, seed)[0].modification for seed in range(40)}
    assert texts == {
        "a blue shirt",
        "a blue shirt instead of a red tee",
        "change it to a blue shirt",
        "a blue shirt, not a red tee",
    }


def test_a_reverse_text_is_the_text_of_the_other_direction_and_stays_absent() -> None:
    forward, backward = compose_from_captions([FORWARD, BACKWARD], CAPTIONS, seed=3)
    assert forward.reverse_modification == backward.modification and "red tee" in backward.modification
    assert backward.reverse_modification is None
    assert (forward.reference, forward.target) == ("red", "blue")
