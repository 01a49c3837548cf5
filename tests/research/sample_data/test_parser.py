import pytest

from likebut.research.sample_data.parser import claimed_changes, parse_modification


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("swap the cactus for a tulip", {"plant": "tulip"}),
        ("same but in a blue pot, and make it frown", {"pot colour": "blue", "mouth": "frown"}),
        ("lose the glasses", {"glasses": "none"}),
        ("The second image has a red pot instead of a blue pot.", {"pot colour": "red"}),
        ("make the cactus a tulip with yellow petals", {"plant": "tulip", "flower colour": "yellow"}),
        ("remove his glasses and make the hair blond", {"glasses": "none", "head colour": "yellow"}),
        ("it should have no moons", {"moons": "none"}),
        (
            "change the background color to green and the planet color to red",
            {"background": "green", "planet colour": "red"},
        ),
        ("the person is now wearing a green dress", {"outfit": "dress", "outfit colour": "green"}),
        (
            "a blue planet with a thick ring and small stars",
            {"planet colour": "blue", "ring": "thick", "stars": "small"},
        ),
        (
            "replace the glasses with sunglasses and the mohawk with a beanie",
            {"glasses": "sunglasses", "head": "beanie"},
        ),
        ("the pot is now yellow and the eyes are closed", {"pot colour": "yellow", "eyes": "closed"}),
        ("Swap the cactus and the blue pot for a daisy and a red pot", {"plant": "daisy", "pot colour": "red"}),
        ("take the sunglasses off, and the hat should be blue", {"glasses": "none", "head colour": "blue"}),
        ("the ring is gone; striped planet", {"ring": "none", "surface": "striped"}),
        ("from a blue pot to a red one", {"pot colour": "red"}),
        ("a round, blue pot", {"pot shape": "round", "pot colour": "blue"}),
        ("pot red, background blue", {"pot colour": "red", "background": "blue"}),
        ("glasses removed", {"glasses": "none"}),
        ("lose the ring and the moons", {"ring": "none", "moons": "none"}),
        ("lose the ring and the sky is blue", {"ring": "none", "background": "blue"}),
        ("two moons instead of one", {"moons": "two"}),
        ("turn the red pot blue", {"pot colour": "blue"}),
        ("keep the pot but make the plant a palm tree", {"plant": "palm"}),
        ("clean-shaven", {"beard": "none"}),
        ("", {}),
        ("something else entirely", {}),
        ("Give it green eyes", {}),
    ],
)
def test_claims(text: str, expected: dict[str, str]) -> None:
    assert parse_modification(text) == expected


def test_a_value_of_the_reference_is_not_a_claim() -> None:
    reference = {"outfit": "dress", "outfit colour": "blue"}
    assert claimed_changes("a red dress", reference) == {("outfit colour", "red")}


def test_case_quotes_and_spaces_do_not_matter() -> None:
    assert parse_modification("  Make   the POT “blue”!! ") == {"pot colour": "blue"}


def test_claims_about_absent_parts_are_parsed() -> None:
    assert parse_modification("put a beanie on the cactus in the blue sky")["head"] == "beanie"
