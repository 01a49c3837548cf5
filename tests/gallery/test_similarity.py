import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.store_samples import sample
from likebut.gallery.similarity import MAX_SIGNATURE_DISTANCE, MIN_COSINE, Group, group_near_duplicates
from likebut.gallery.store import Candidate


def candidate(number: int, shift: int = 0, other_embeddings: bool = False) -> Candidate:
    new = sample(number)
    darker = np.frombuffer(new.image.signature, np.uint8) // 2
    signature = (darker + np.uint8(shift)).tobytes()
    image = replace(new.image, id=f"{number}-{shift}", signature=signature)
    return Candidate(image, sample(number + 500).embeddings if other_embeddings else new.embeddings)


def test_near_duplicates_agree_in_signature_and_embeddings() -> None:
    near, far = int(MAX_SIGNATURE_DISTANCE) - 1, int(MAX_SIGNATURE_DISTANCE) + 1
    found = group_near_duplicates(
        [candidate(1), candidate(2), candidate(1, near), candidate(1, far), candidate(2, 1, other_embeddings=True)]
    )
    assert found == [Group(0, (2,)), Group(1, ()), Group(3, ()), Group(4, ())]


def test_no_candidate_and_one() -> None:
    assert group_near_duplicates([]) == []
    assert group_near_duplicates([candidate(1)]) == [Group(0, ())]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=12), st.integers(0, 12))
def test_leaders_depend_only_on_candidates_above_them(drawn: list[tuple[int, int]], length: int) -> None:
    candidates = [candidate(number, 6 * shift) for number, shift in drawn]
    whole = [group.leader for group in group_near_duplicates(candidates)]
    start = [group.leader for group in group_near_duplicates(candidates[:length])]
    assert whole[: len(start)] == start
    members = sorted(each for group in group_near_duplicates(candidates) for each in (group.leader, *group.others))
    assert members == list(range(len(candidates)))


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_groups_do_not_depend_on_embedding_norms(scale: float) -> None:
    one = candidate(1)
    two = Candidate(replace(one.image, id="x"), (one.embeddings * scale).astype(np.float16))
    assert group_near_duplicates([one, two]) == [Group(0, (1,))]


def naive_groups(candidates: list[Candidate]) -> list[Group]:
    """The definition: an image joins the first leader above it that is a near-duplicate, or else leads."""
    groups: list[tuple[int, list[int]]] = []
    for position, each in enumerate(candidates):
        for leader, others in groups:
            pair = [candidates[leader], each]
            signatures = [np.frombuffer(one.image.signature, np.uint8).astype(np.float64) for one in pair]
            tokens = [one.embeddings.astype(np.float64) for one in pair]
            tokens = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in tokens]
            is_near = np.sqrt(np.mean((signatures[0] - signatures[1]) ** 2)) <= MAX_SIGNATURE_DISTANCE
            if is_near and np.mean(np.sum(tokens[0] * tokens[1], axis=1)) >= MIN_COSINE:
                others.append(position)
                break
        else:
            groups.append((position, []))
    return [Group(leader, tuple(others)) for leader, others in groups]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=14))
def test_groups_equal_the_naive_definition(drawn: list[tuple[int, int, bool]]) -> None:
    candidates = [candidate(number, 6 * shift, other) for number, shift, other in drawn]
    assert group_near_duplicates(candidates) == naive_groups(candidates)


def test_memory_is_linear_in_the_candidates() -> None:
    random = np.random.default_rng(0)
    one = candidate(1)
    many = []
    for number in range(2000):
        signature = random.integers(0, 256, 192, dtype=np.uint8).tobytes()
        many.append(replace(one, image=replace(one.image, id=str(number), signature=signature)))
    tracemalloc.start()
    groups = group_near_duplicates(many)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(groups) == 2000
    assert peak < 2000 * 2000 * 4, "a full distance matrix would take more"
