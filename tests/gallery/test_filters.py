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
    Field("kids", FieldType.BOOLEAN),
)


def parsed(filters: dict[str, Any]) -> list[tuple[str, str, Any]]:
    return [(each.field.name, each.operator.value, each.value) for each in parse_filter(filters, FIELDS)]


def test_short_forms() -> None:
    assert parsed({"colour": "red"}) == [("colour", "=", "red")]
    assert parsed({"colour": ["red", "blue"]}) == [("colour", "in", ("red", "blue"))]
    assert parsed({"price": {"<": "50", ">=": 10}}) == [("price", "<", 50.0), ("price", ">=", 10.0)]
    assert parsed({"tags": "a"}) == [("tags", "contains", "a")]
    assert parsed({"tags": {"=": "a"}}) == [("tags", "contains", "a")]
    assert parsed({"kids": "true"}) == [("kids", "=", True)]


@pytest.mark.parametrize(
    ("filters", "code", "named"),
    [
        ({"color": "red"}, "unknown-field", ('"color"', '"colour"')),
        ({"id": "x"}, "unknown-field", ('"id"',)),
        ({"colour": {"<": "x"}}, "invalid-filter", ('"colour"', '"<"')),
        ({"colour": {"DROP TABLE": "x"}}, "invalid-filter", ('"DROP TABLE"',)),
        ({"price": "cheap"}, "invalid-filter", ('"price"', "'cheap'", "number")),
        ({"price": None}, "invalid-filter", ('"price"', "None", "number")),
        ({"colour": []}, "invalid-filter", ('"colour"', "256")),
        ({"colour": {"in": "red"}}, "invalid-filter", ('"colour"', "256")),
        ({"kids": {"contains": "x"}}, "invalid-filter", ('"kids"', '"contains"', "boolean")),
        ({"tags": [["a"]]}, "invalid-filter", ('"tags"', "text")),
        ({"price": {"<": 1, ">": 2}, "width": list(range(257))}, "invalid-filter", ('"width"', "256")),
        ({"price": [{"<": 1}] * 33}, "invalid-filter", ("33", "32")),
    ],
)
def test_invalid_filters(filters: dict[str, Any], code: str, named: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as error:
        parse_filter(filters, FIELDS)
    assert error.value.code == code
    assert all(part in str(error.value) for part in named)


def test_several_conditions_on_one_field() -> None:
    twice = [("tags", "contains", "a"), ("tags", "contains", "b")]
    assert parsed({"tags": [{"contains": "a"}, {"contains": "b"}]}) == twice
    assert parsed(parse_expressions(["tags=a", "tags~b"])) == twice
    assert parsed(parse_expressions(["price!=1", "price!=2"])) == [("price", "!=", 1.0), ("price", "!=", 2.0)]


def test_command_line_expressions() -> None:
    assert parse_expressions(["colour=red", "price<50", "price >= 10", "title~linen=x", "size=S|M"]) == {
        "colour": [{"=": "red"}],
        "price": [{"<": "50"}, {">=": "10"}],
        "title": [{Operator.CONTAINS.value: "linen=x"}],
        "size": [{Operator.IN.value: ["S", "M"]}],
    }
    with pytest.raises(InputError) as error:
        parse_expressions(["colour"])
    assert error.value.code == "invalid-filter" and '"colour"' in error.value.problem
