import torch

from likebut.adapt.pseudo import class_names, neighbours_in, pseudo_names


def test_there_are_a_thousand_class_names() -> None:
    names = class_names()
    assert len(names) == 1000
    assert all(names)
    assert names[0] == "tench" and "lemon" in names


def test_what_all_images_have_in_common_names_none_of_them() -> None:
    """Class 7 is the likeliest of all twelve; classes 1 and 2 are what distinguishes two groups that look alike."""
    probabilities = torch.full((12, 1000), 1e-5)
    probabilities[:, 7] = 0.6
    probabilities[:6, 1], probabilities[6:, 2] = 0.3, 0.3
    neighbours = torch.tensor(
        [[other for other in range(12) if other // 6 == row // 6 and other != row] for row in range(12)]
    )
    found = pseudo_names(probabilities / probabilities.sum(dim=1, keepdim=True), neighbours)
    names = class_names()
    assert [told[0] for told in found if told] == [names[1]] * 6 + [names[2]] * 6


def test_classes_scattered_among_images_that_look_otherwise_are_not_given() -> None:
    probabilities = torch.full((12, 1000), 1e-5)
    for row in range(12):
        probabilities[row, row % 6] = 0.9
    neighbours = torch.tensor([[(row + 1) % 12, (row + 2) % 12] for row in range(12)])
    assert not any(pseudo_names(probabilities, neighbours))


def test_neighbours_are_others() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(9, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    rows = neighbours_in(vectors, 3)
    assert rows.shape == (9, 3)
    assert all(row not in found for row, found in enumerate(rows.tolist()))
