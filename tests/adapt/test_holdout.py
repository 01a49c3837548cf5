import torch
from torch.nn.functional import normalize

from likebut.adapt.holdout import near_duplicate_groups, split_images


def test_near_duplicates_are_never_split() -> None:
    distinct = normalize(torch.randn(40, 32, generator=torch.Generator().manual_seed(0)), dim=1)
    vectors = distinct.repeat_interleave(3, dim=0)
    names = [f"{row}" for row in range(len(vectors))]
    split = split_images(names, vectors)
    held = {int(name) // 3 for name in split.held_out}
    assert held and len(split.held_out) == 3 * len(held)
    assert held.isdisjoint(int(name) // 3 for name in split.train)
    assert (split.groups, split.largest) == (40, 3)


def test_about_a_tenth_is_held_out() -> None:
    vectors = normalize(torch.randn(200, 64, generator=torch.Generator().manual_seed(1)), dim=1)
    assert len(split_images([str(row) for row in range(200)], vectors).held_out) == 20


def test_groups_are_connected_by_chains() -> None:
    angles = torch.tensor([0.0, 0.2, 0.4, 2.0])
    vectors = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert sorted(map(sorted, near_duplicate_groups(vectors, 0.97))) == [[0, 1, 2], [3]]
