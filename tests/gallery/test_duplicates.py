from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import sample

from likebut.gallery.duplicates import MAX_SIGNATURE_DISTANCE, Group, group_near_duplicates
from likebut.gallery.store import Candidate


def candidate(number: int, shift: int = 0, other_embeddings: bool = False) -> Candidate:
    new = sample(number)
    darker = np.frombuffer(new.image.signature, np.uint8) // 2
    signature = (darker + np.uint8(shift)).tobytes()
    image = replace(new.image, id=f"{number}-{shift}", signature=signature)
    return Candidate(image, sample(number + 500).embeddings if other_embeddings else new.embeddings)


def test_both_the_miniature_and_the_embeddings_must_agree() -> None:
    near, far = int(MAX_SIGNATURE_DISTANCE) - 1, int(MAX_SIGNATURE_DISTANCE) + 1
    found = group_near_duplicates(
        [candidate(1), candidate(2), candidate(1, near), candidate(1, far), candidate(2, 1, other_embeddings=True)]
    )
    assert found == [Group(0, (2,)), Group(1, ()), Group(3, ()), Group(4, ())]


def test_nothing_and_one() -> None:
    assert group_near_duplicates([]) == []
    assert group_near_duplicates([candidate(1)]) == [Group(0, ())]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=12), st.integers(0, 12))
def test_leaders_depend_on_what_is_above_them_alone(drawn: list[tuple[int, int]], length: int) -> None:
    candidates = [candidate(number, 6 * shift) for number, shift in drawn]
    whole = [group.leader for group in group_near_duplicates(candidates)]
    start = [group.leader for group in group_near_duplicates(candidates[:length])]
    assert whole[: len(start)] == start
    members = sorted(each for group in group_near_duplicates(candidates) for each in (group.leader, *group.others))
    assert members == list(range(len(candidates)))


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_length_of_embeddings_is_immaterial(scale: float) -> None:
    one = candidate(1)
    two = Candidate(replace(one.image, id="x"), (one.embeddings * scale).astype(np.float16))
    assert group_near_duplicates([one, two]) == [Group(0, (1,))]
