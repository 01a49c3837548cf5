from likebut.adapt.compose import Composer, Mix
from likebut.adapt.concepts import Concepts, Described, parts_of

NAMES = ["Red Bell Pepper", "Yellow Bell Pepper", "Oat Milk", "Whole Milk", "Lemon"]


def collection(copies: int = 4) -> Concepts:
    return Concepts([Described(f"{name} {number}", (name,)) for name in NAMES for number in range(copies)])


def name_of(image: str) -> str:
    return image.rsplit(" ", 1)[0]


def test_parts_of_a_name_are_its_runs_of_words() -> None:
    assert parts_of("Red Bell Pepper") == ["red bell", "bell pepper", "red", "bell", "pepper"]
    assert parts_of("Pot of Gold") == ["pot", "gold"]
    assert parts_of("Lemon") == []


def test_a_concept_holds_for_every_image_whose_name_has_it() -> None:
    assert {name_of(image) for image in collection().holders["milk"]} == {"Oat Milk", "Whole Milk"}


def test_every_image_for_which_a_name_or_part_is_true_is_a_target_and_the_reference_is_not() -> None:
    concepts = collection()
    for triplet in Composer(concepts, mix=Mix(name=0.5, part=0.5, difference=0, same=0)).write(200):
        assert triplet.reference not in triplet.targets
        said = [concepts.holders[key] for key in concepts.holders if key in triplet.modification.lower()]
        assert set(triplet.targets) in said


def test_a_difference_keeps_what_both_names_have() -> None:
    for triplet in Composer(collection(), mix=Mix(name=0, part=0, difference=1, same=0)).write(50):
        words = set(name_of(triplet.reference).lower().split()) & set(name_of(triplet.target).lower().split())
        assert words
        assert all(words <= set(name_of(image).lower().split()) for image in triplet.targets)


def test_the_same_seed_composes_the_same_and_another_does_not() -> None:
    first, again, other = (list(Composer(collection(), seed=seed).write(30)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_colour_leads_to_what_is_shown_in_it() -> None:
    images = [Described(f"{name} {n}", (name,), colour=colour) for name, colour in
              (("Lemon", "yellow"), ("Lime", "green"), ("Kiwi", "green")) for n in range(3)]  # fmt: skip
    concepts = Concepts(images)
    for triplet in Composer(concepts, mix=Mix(name=0, part=0, difference=0, same=0, colour=1)).write(40):
        assert concepts.of(triplet.target).colour in triplet.modification
        assert {concepts.of(image).colour for image in triplet.targets} == {concepts.of(triplet.target).colour}


def test_an_attribute_keeps_the_others() -> None:
    images = [
        Described(f"{colour} {size} {n}", attributes={"colour": colour, "size": size})
        for colour in ("red", "blue") for size in ("small", "large") for n in range(3)
    ]  # fmt: skip
    concepts = Concepts(images)
    for triplet in Composer(concepts, mix=Mix(attribute=1)).write(60):
        before, after = concepts.of(triplet.reference).attributes, concepts.of(triplet.target).attributes
        kept = {column: value for column, value in before.items() if after[column] == value}
        assert all(kept.items() <= concepts.of(image).attributes.items() for image in triplet.targets)


def test_prose_is_said_whole_or_in_pieces_that_are_not_true_of_the_reference() -> None:
    texts = ["navy striped tee with long sleeves", "white tee with long sleeves, small anchor", "navy dress and belt"]
    concepts = Concepts([Described(f"{n}", prose=(text,)) for n, text in enumerate(texts)])
    said = list(Composer(concepts, mix=Mix(prose=1)).write(80))
    for triplet in said:
        assert triplet.reference not in triplet.targets
        if "long sleeves" in triplet.modification and triplet.reference == "2":
            assert set(triplet.targets) <= {"0", "1"}
    assert any(len(triplet.modification.split()) < 4 for triplet in said)


def test_texts_that_distinguish_nothing_make_no_triplets() -> None:
    same = Concepts([Described(f"{number}", ("box",)) for number in range(10)])
    assert list(Composer(same, mix=Mix(same=0)).write(10)) == []
    assert list(Composer(Concepts([Described("one", ("box",))])).write(10)) == []
