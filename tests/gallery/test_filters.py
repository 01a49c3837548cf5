from typing import Any

import pytest

from likebut.errors import InputError
from likebut.gallery.fields import BUILT_IN_FIELDS, Field, FieldType
from likebut.gallery.filters import Operator, parse_expressions, parse_filter

FIELDS = (
    *BUILT_IN_FIELDS,
    Field("colour", FieldType.TEXT),
    Field("price", FieldType.NUMBER),
    Field("tags", FieldType.LABELS),
    Field("kids", FieldType.TRUTH),
)


def stated(filters: dict[str, Any]) -> list[tuple[str, str, Any]]:
    return [(each.field.name, each.operator.value, each.value) for each in parse_filter(filters, FIELDS)]


def test_short_forms_say_what_they_mean() -> None:
    assert stated({"colour": "red"}) == [("colour", "=", "red")]
    assert stated({"colour": ["red", "blue"]}) == [("colour", "in", ("red", "blue"))]
    assert stated({"price": {"<": "50", ">=": 10}}) == [("price", "<", 50.0), ("price", ">=", 10.0)]
    assert stated({"tags": "a"}) == [("tags", "contains", "a")]
    assert stated({"tags": {"=": "a"}}) == [("tags", "contains", "a")]
    assert stated({"kids": "true"}) == [("kids", "=", True)]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"color": "red"}, 'no field "color". Did you mean "colour"'),
        ({"id": "x"}, 'no field "id"'),
        ({"colour": {"<": "x"}}, 'cannot be compared with "<"'),
        ({"colour": {"DROP TABLE": "x"}}, "cannot be compared with"),
        ({"price": "cheap"}, "'cheap', which is not a number"),
        ({"price": None}, "None, which is not a number"),
        ({"colour": []}, "list of 1 to 256 values"),
        ({"colour": {"in": "red"}}, "list of 1 to 256 values"),
        ({"kids": {"contains": "x"}}, "cannot be compared"),
        ({"tags": [["a"]]}, "which is not a text"),
        ({"price": {"<": 1, ">": 2, "<=": 3, ">=": 4, "=": 5, "!=": 6}, "width": list(range(257))}, "256"),
    ],
)
def test_wrong_filters_are_explained(filters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_filter(filters, FIELDS)
    assert message in str(error.value)


def test_several_conditions_on_one_field_must_all_hold() -> None:
    twice = [("tags", "contains", "a"), ("tags", "contains", "b")]
    assert stated({"tags": [{"contains": "a"}, {"contains": "b"}]}) == twice
    assert stated(parse_expressions(["tags=a", "tags~b"])) == twice
    assert stated(parse_expressions(["price!=1", "price!=2"])) == [("price", "!=", 1.0), ("price", "!=", 2.0)]


def test_command_line_expressions() -> None:
    assert parse_expressions(["colour=red", "price<50", "price >= 10", "title~linen=x", "size=S|M"]) == {
        "colour": [{"=": "red"}],
        "price": [{"<": "50"}, {">=": "10"}],
        "title": [{Operator.CONTAINS.value: "linen=x"}],
        "size": [{Operator.IN.value: ["S", "M"]}],
    }
    with pytest.raises(InputError, match="not of the form"):
        parse_expressions(["colour"])
