from datetime import datetime

import pytest

from likebut.errors import InputError
from likebut.gallery.fields import Field, FieldType, infer_fields, infer_type, json_value, typed, typed_row


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2.5", "-3e2"], FieldType.NUMBER),
        ([1, 2.5], FieldType.NUMBER),
        (["007", "12"], FieldType.TEXT),
        (["true", "False"], FieldType.BOOLEAN),
        ([True, False], FieldType.BOOLEAN),
        ([True, 1], FieldType.TEXT),
        (["2024-05-01", "2024-05-01T10:20:30Z"], FieldType.DATE),
        (["2024-05-01", "May"], FieldType.TEXT),
        ([["a"], "b"], FieldType.LABELS),
        (["nan"], FieldType.TEXT),
        (["20240501"], FieldType.NUMBER),
        (["9007199254740993"], FieldType.TEXT),
    ],
)
def test_infer_type_returns_the_narrowest_type(values: list[object], expected: FieldType) -> None:
    assert infer_type(values) is expected


def test_typed_values() -> None:
    assert typed("12.50", FieldType.NUMBER) == 12.5
    assert typed("TRUE", FieldType.BOOLEAN) is True
    assert typed("2024-05-01T10:00+02:00", FieldType.DATE) == datetime(2024, 5, 1, 8)
    assert typed("a", FieldType.LABELS) == ("a",)
    assert typed(["a", "b"], FieldType.LABELS) == ("a", "b")
    assert typed(5, FieldType.TEXT) == "5"


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("x", FieldType.NUMBER),
        (True, FieldType.NUMBER),
        ("1e999", FieldType.NUMBER),
        ("2024-13-01", FieldType.DATE),
        ("yes", FieldType.BOOLEAN),
        (["a\x1fb"], FieldType.LABELS),
        ({"a": 1}, FieldType.TEXT),
        ([1], FieldType.LABELS),
    ],
)
def test_values_that_do_not_fit(value: object, type_: FieldType) -> None:
    with pytest.raises(ValueError):
        typed(value, type_)


def test_nan_is_a_missing_value() -> None:
    rows = [{"price": float("nan")}, {"price": 3}]
    assert infer_fields(rows, {}) == [Field("price", FieldType.NUMBER)]
    assert typed_row(rows[0], {"price": FieldType.NUMBER}, "a line") == {}
    with pytest.raises(ValueError):
        typed(float("nan"), FieldType.NUMBER)


def test_only_new_fields_are_inferred_and_missing_values_ignored() -> None:
    rows = [{"price": None, "colour": "red"}, {"price": "3", "colour": "2"}, {"size": None}]
    assert infer_fields(rows, {}) == [Field("colour", FieldType.TEXT), Field("price", FieldType.NUMBER)]
    assert infer_fields(rows, {"price": FieldType.TEXT}) == [Field("colour", FieldType.TEXT)]


def test_reserved_and_empty_field_names() -> None:
    with pytest.raises(InputError) as error:
        infer_fields([{"width": 3}], {})
    assert error.value.code == "reserved-field-name" and '"width"' in error.value.problem
    with pytest.raises(InputError) as error:
        infer_fields([{"": 3}], {})
    assert error.value.code == "unnamed-field"


def test_type_mismatch_names_line_field_value_and_type() -> None:
    with pytest.raises(InputError) as error:
        typed_row({"price": "n/a"}, {"price": FieldType.NUMBER}, "m.csv line 7")
    assert error.value.code == "metadata-type-mismatch"
    assert all(part in error.value.problem for part in ("m.csv line 7", '"price"', "'n/a'", "number"))


def test_json_values() -> None:
    assert json_value(3.0) == 3 and json_value(2.5) == 2.5
    assert json_value(datetime(2024, 5, 1)) == "2024-05-01T00:00:00"
    assert json_value(("a", "b")) == ["a", "b"]
    assert json_value(True) is True
