import re
from collections import Counter

import pytest

from likebut.data.triplets import Triplet
from likebut.research.clothing.annotations import load_photographs
from likebut.research.clothing.attributes import KIND_OF, attributes_of, differences
from likebut.research.clothing.derived_triplets import COMPARED, DerivedTriplets


@pytest.fixture(scope="module")
def derived() -> list[Triplet]:
    training = [photograph for photograph in load_photographs().values() if photograph.split == "train"]
    return list(DerivedTriplets(training[:800]).write(2))


def test_pairs_differ_in_one_to_three_attributes(derived: list[Triplet]) -> None:
    photographs = load_photographs()
    counts = Counter()
    for triplet in derived:
        before, after = (attributes_of(photographs[name]) for name in (triplet.reference, triplet.target))
        changes = {name: value for name, value in differences(before, after).items() if name in COMPARED}
        assert triplet.meta["changes"] == changes
        counts[len(changes)] += 1
    assert set(counts) == {1, 2, 3} and min(counts.values()) > 0.15 * len(derived)


def test_most_pairs_are_within_one_kind(derived: list[Triplet]) -> None:
    kind = {name: KIND_OF[photograph.type] for name, photograph in load_photographs().items()}
    crossing = sum(kind[triplet.reference] != kind[triplet.target] for triplet in derived) / len(derived)
    assert 0.02 < crossing < 0.2


def test_plain_texts_have_one_phrasing(derived: list[Triplet]) -> None:
    plain = [triplet for triplet in derived if triplet.meta["register"] == "plain"]
    wordings: dict[tuple[tuple[str, str], ...], set[str]] = {}
    for triplet in plain:
        wordings.setdefault(tuple(sorted(triplet.meta["changes"].items())), set()).add(triplet.modification)
    assert 0.25 < len(plain) / len(derived) < 0.42
    assert all(len(texts) == 1 for texts in wordings.values())


def test_free_texts_vary_and_half_of_all_texts_have_a_detail(derived: list[Triplet]) -> None:
    free = [triplet.modification for triplet in derived if triplet.meta["register"] == "free"]
    assert len(set(free)) > 0.8 * len(free)
    assert not any(re.search(r"  | ,|^,|,$|\{|\}", text) for text in free)
    assert 3 < sum(len(text.split()) for text in free) / len(free) < 14


def test_further_targets_have_equal_attributes_and_exclude_the_reference(derived: list[Triplet]) -> None:
    looks_of = {
        name: tuple(map(attributes_of(photograph).get, COMPARED)) for name, photograph in load_photographs().items()
    }
    several = [triplet for triplet in derived if len(triplet.targets) > 1]
    assert len(several) > 0.1 * len(derived)
    for triplet in several:
        assert triplet.targets[0] == triplet.target and triplet.reference not in triplet.targets
        looks = {looks_of[name] for name in triplet.targets}
        assert len(looks) == 1


def test_plain_mode_names_up_to_five_changes() -> None:
    training = [photograph for photograph in load_photographs().values() if photograph.split == "train"]
    derived = list(DerivedTriplets(training[:800], plain=True, most_changes=5).write(1))
    assert {triplet.meta["register"] for triplet in derived} == {"plain"}
    counts = Counter(len(triplet.meta["changes"]) for triplet in derived)
    assert set(counts) == {1, 2, 3, 4, 5}
    assert all(triplet.modification.count(",") == len(triplet.meta["changes"]) - 1 for triplet in derived)


def test_the_seed_determines_the_triplets() -> None:
    training = [photograph for photograph in load_photographs().values() if photograph.split == "train"][:200]
    assert list(DerivedTriplets(training, 3).write(1)) == list(DerivedTriplets(training, 3).write(1))
    assert list(DerivedTriplets(training, 3).write(1)) != list(DerivedTriplets(training, 4).write(1))
