import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from helpers.synthesis_fakes import pair
from helpers.vectors import circle
from likebut.errors import InputError
from likebut.synthesis.mining import MinedPair, PairSettings, distinct_images, mine_pairs, with_neighbours


def test_pairs_of_known_similarities() -> None:
    names = ["a", "b", "c", "d"]
    settings = PairSettings(
        neighbours=1, min_similarity=math.cos(math.radians(80)), max_similarity=0.999, neighbourhood=2
    )
    cosine = {angle: round(math.cos(math.radians(angle)), 6) for angle in (29, 30, 70)}
    # c's nearest is b, which has begun that pair already; a and b are near-duplicates.
    assert mine_pairs(names, circle(0, 1, 30, 100), settings) == [
        MinedPair("a", "c", pytest.approx(cosine[30], abs=2e-6), ("c",), ("b", "a")),
        MinedPair("b", "c", pytest.approx(cosine[29], abs=2e-6), ("c",), ("b", "a")),
        MinedPair("d", "c", pytest.approx(cosine[70], abs=2e-6), ("c",), ("b", "a")),
    ]


@given(st.integers(2, 40), st.integers(1, 5), st.integers(0, 1000))
def test_pairs_are_distinct_and_inside_the_window(images: int, neighbours: int, seed: int) -> None:
    vectors = normalize(torch.randn(images, 3, generator=torch.Generator().manual_seed(seed)), dim=1)
    names = [f"{number:02d}" for number in range(images)]
    settings = PairSettings(neighbours=neighbours, min_similarity=-0.5, max_similarity=0.9)
    try:
        found = mine_pairs(names, vectors, settings)
    except InputError:
        similarities = vectors @ vectors.T - 2 * torch.eye(images)
        assert not ((similarities > -0.5) & (similarities < 0.9)).any()
        return
    assert len({frozenset((item.reference, item.target)) for item in found}) == len(found)
    begun = [item.reference for item in found]
    assert begun == sorted(begun)
    assert max(begun.count(name) for name in names) <= neighbours
    for item in found:
        cosine = float(vectors[names.index(item.reference)] @ vectors[names.index(item.target)])
        assert item.similarity == pytest.approx(cosine, abs=1e-5)
        assert -0.5 <= cosine <= 0.9
        assert item.target in item.reference_neighbours
        assert item.reference not in item.reference_neighbours


def test_a_limit_takes_a_random_sample() -> None:
    vectors = normalize(torch.randn(30, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    names = [str(number) for number in range(30)]

    def mined(**changes: int) -> list[MinedPair]:
        return mine_pairs(names, vectors, PairSettings(min_similarity=-1, max_similarity=1, **changes))

    everything = mined()
    drawn = mined(limit=10, seed=1)
    assert len(drawn) == 10 and drawn == mined(limit=10, seed=1) != mined(limit=10, seed=2)
    assert [item for item in everything if item in drawn] == drawn
    assert mined(limit=10_000) == everything


def test_nothing_inside_the_window_is_an_input_error() -> None:
    with pytest.raises(InputError) as error:
        mine_pairs(["a", "b"], circle(0, 90), PairSettings())
    assert error.value.code == "no-pairs" and all(value in error.value.problem for value in ("2", "0.5", "0.98"))
    with pytest.raises(InputError) as error:
        mine_pairs(["a"], circle(0), PairSettings())
    assert error.value.code == "no-pairs"
    with pytest.raises(InputError) as error:
        mine_pairs(["a", "b"], circle(0, 90), PairSettings(min_similarity=0.9, max_similarity=0.2))
    assert error.value.code == "empty-similarity-window"
    assert all(value in error.value.problem for value in ("0.9", "0.2"))


def test_copies_are_skipped() -> None:
    class Contents:
        def content(self, name: str) -> str:
            return name[0]

    names, repeated = distinct_images(Contents(), ["a1", "b1", "a2", "a3"])
    assert names == ["a1", "b1"]
    assert [(image.name, image.reason) for image in repeated] == [
        ("a2", "Its content is that of a1."),
        ("a3", "Its content is that of a1."),
    ]


def test_neighbours_are_added_only_where_missing() -> None:
    names = ["0", "1", "2", "3"]
    bare, mined = pair(0, 2), pair(1, 3, around=[9], around_target=[8])
    first, second = with_neighbours([bare, mined], names, circle(0, 10, 30, 100), 2)
    assert (first.reference_neighbours, first.target_neighbours) == (("1", "2"), ("1", "0"))
    assert second == mined
