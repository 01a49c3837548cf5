from likebut.data.triplets import Triplet
from likebut.research.ablations.pool import draw_share

BOTH_WAYS = [
    Triplet(first, second, f"{first} to {second}")
    for number in range(10)
    for first, second in ((f"a{number}", f"b{number}"), (f"b{number}", f"a{number}"))
]


def test_both_directions_of_a_pair_go_together() -> None:
    drawn = draw_share(BOTH_WAYS, 0.3, seed=0)
    assert len(drawn) == 6
    numbers = {triplet.reference[1:] for triplet in drawn}
    assert len(numbers) == 3 and all(triplet.target[1:] in numbers for triplet in drawn)
    assert drawn == [triplet for triplet in BOTH_WAYS if triplet in drawn]


def test_a_smaller_share_is_part_of_a_larger_one_and_another_seed_draws_others() -> None:
    small, large = (draw_share(BOTH_WAYS, share, seed=1) for share in (0.2, 0.5))
    assert len(small) == 4 and len(large) == 10 and all(triplet in large for triplet in small)
    assert len({tuple(triplet.reference for triplet in draw_share(BOTH_WAYS, 0.2, seed)) for seed in range(6)}) > 1


def test_all_of_them_and_at_least_one() -> None:
    assert draw_share(BOTH_WAYS, 1.0, seed=4) == BOTH_WAYS
    assert len(draw_share(BOTH_WAYS, 0.001, seed=4)) == 2
