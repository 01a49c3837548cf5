from collections import Counter

from likebut.research.clothing.annotations import load_gallery, load_photographs, load_triplets


def test_photographs_are_split_by_photographer() -> None:
    photographs = load_photographs().values()
    assert Counter(photograph.split for photograph in photographs) == {"train": 3864, "val": 486}
    people = {
        split: {photograph.photographer for photograph in photographs if photograph.split == split}
        for split in ("train", "val")
    }
    assert not people["train"] & people["val"]


def test_every_pair_has_both_directions() -> None:
    triplets = load_triplets()
    assert Counter(triplet.split for triplet in triplets) == {"train": 1920, "val": 432}
    by_id = {(triplet.split, triplet.id): triplet for triplet in triplets}
    assert len(by_id) == len(triplets)
    for triplet in triplets:
        other = by_id[triplet.split, triplet.id[:-1] + ("b" if triplet.id.endswith("f") else "f")]
        assert (other.reference, other.target) == (triplet.target, triplet.reference)
        assert other.modification == triplet.reverse_modification


def test_triplets_are_within_their_split_and_subsets_contain_the_target() -> None:
    split_of = {name: photograph.split for name, photograph in load_photographs().items()}
    for triplet in load_triplets():
        assert {split_of[name] for name in triplet.images()} == {triplet.split}
        assert triplet.target in triplet.subset and len(triplet.subset) == 5
        assert triplet.reference not in triplet.subset


def test_gallery_is_all_photographs_of_the_split() -> None:
    assert dict(load_gallery()) == {name: photograph.split for name, photograph in load_photographs().items()}
