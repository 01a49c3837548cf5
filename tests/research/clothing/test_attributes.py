import pytest

from likebut.research.clothing.annotations import Photograph, load_photographs
from likebut.research.clothing.attributes import KIND_OF, attributes_of, differences


def photograph(**given: object) -> Photograph:
    usual = {
        "image": "a.jpg",
        "split": "train",
        "photographer": "1",
        "kids": False,
        "type": "t-shirt",
        "colours": ("navy", "white"),
        "pattern": "striped",
        "cut": "short sleeves, crew neck",
        "detail": "",
        "caption": "A navy tee",
    }
    return Photograph.model_validate(usual | given)


def test_colours_pattern_and_cut_become_attributes() -> None:
    assert attributes_of(photograph()) == {
        "type": "t-shirt",
        "colour": "navy",
        "second colour": "white",
        "pattern": "striped",
        "age": "adults",
        "sleeves": "short",
        "neck": "round",
        "hood": "none",
    }


@pytest.mark.parametrize(
    ("kind", "cut", "attribute", "value"),
    [
        ("sweater", "long sleeves, tall turtleneck", "neck", "high"),
        ("jacket", "long sleeves, stand collar, zip front", "neck", "stand collar"),
        ("jacket", "long sleeves, round collarless neck, snap front", "neck", "round"),
        ("shirt", "collarless, button front", "neck", None),
        ("polo", "short sleeves, collar, button placket", "closure", "placket"),
        ("sweatshirt", "half zip", "closure", "half zip"),
        ("top", "short cap sleeves", "sleeves", "cap"),
        ("t-shirt", "elbow-length sleeves", "sleeves", "elbow"),
        ("t-shirt", "short batwing sleeves", "sleeves", "short"),
        ("sandals", "back strap", "sleeves", None),
        ("jeans", "full length, slim straight leg", "leg", "slim"),
        ("trousers", "mid calf, loose leg", "length", "cropped"),
        ("dress", "sleeveless, maxi length", "length", "long"),
        ("t-shirt", "long", "length", "long"),
        ("sneakers", "low top, lace-up", "closure", "laces"),
        ("hoodie", "long sleeves, fur-trimmed hood", "hood", "hood"),
    ],
)
def test_cut_is_parsed_where_it_is_clear(kind: str, cut: str, attribute: str, value: str | None) -> None:
    assert attributes_of(photograph(type=kind, cut=cut)).get(attribute) == value


def test_every_type_has_a_broad_kind() -> None:
    assert {each.type for each in load_photographs().values()} == set(KIND_OF)


def test_sleeves_of_upper_garments_are_nearly_always_known() -> None:
    upper = [attributes_of(each) for each in load_photographs().values() if KIND_OF[each.type] == "upper"]
    assert sum("sleeves" in values for values in upper) > 0.98 * len(upper)


def test_differences_are_of_attributes_known_for_both() -> None:
    reference = {"colour": "navy", "neck": "round", "type": "t-shirt"}
    assert differences(reference, {"colour": "red", "sleeves": "long", "type": "t-shirt"}) == {"colour": "red"}
