from likebut.data.triplets import Triplet
from likebut.research.ablations.data import sample_fraction

BOTH_DIRECTIONS = [
    Triplet(first, second, f"{first} to {second}")
    for number in range(10)
    for first, second in ((f"a{number}", f"b{number}"), (f"b{number}", f"a{number}"))
]


def test_both_directions_of_a_pair_are_sampled_together() -> None:
    sample = sample_fraction(BOTH_DIRECTIONS, 0.3, seed=0)
    assert len(sample) == 6
    numbers = {triplet.reference[1:] for triplet in sample}
    assert len(numbers) == 3 and all(triplet.target[1:] in numbers for triplet in sample)
    assert sample == [triplet for triplet in BOTH_DIRECTIONS if triplet in sample]


def test_a_smaller_sample_is_a_subset_of_a_larger_one_with_the_same_seed() -> None:
    small, large = (sample_fraction(BOTH_DIRECTIONS, fraction, seed=1) for fraction in (0.2, 0.5))
    assert len(small) == 4 and len(large) == 10 and all(triplet in large for triplet in small)
    assert (
        len({tuple(triplet.reference for triplet in sample_fraction(BOTH_DIRECTIONS, 0.2, seed)) for seed in range(6)})
        > 1
    )


def test_a_sample_is_at_most_all_and_at_least_one_pair() -> None:
    assert sample_fraction(BOTH_DIRECTIONS, 1.0, seed=4) == BOTH_DIRECTIONS
    assert len(sample_fraction(BOTH_DIRECTIONS, 0.001, seed=4)) == 2
