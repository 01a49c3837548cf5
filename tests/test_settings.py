import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from likebut.errors import InputError
from likebut.settings import differences, known_keys, parse_settings


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rate: float = Field(default=0.1, gt=0)
    steps: int | None = None
    epochs: int | None = None

    @model_validator(mode="after")
    def _one_length(self) -> "Inner":
        if self.steps is not None and self.epochs is not None:
            raise ValueError("Give either steps or epochs")
        return self


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    inner: Inner = Inner()


def test_good_values_are_parsed() -> None:
    assert parse_settings(Outer, {"name": "x", "inner": {"rate": 2}}, "f").inner.rate == 2.0


@pytest.mark.parametrize(
    ("values", "problem", "remedy"),
    [
        ({"name": "x", "iner": {}}, 'f has the unknown key "iner".', 'Did you mean "inner"?'),
        ({"name": "x", "inner": {"raet": 1}}, 'f has the unknown key "inner.raet".', 'Did you mean "inner.rate"?'),
        ({"name": "x", "zzz": 1}, 'f has the unknown key "zzz".', "Known keys: inner, inner.epochs"),
        ({}, 'f lacks the key "name".', 'Add "name".'),
        ({"name": "x", "inner": {"rate": -1}}, 'f: "inner.rate" is -1, but input should be greater than 0.', "Change"),
        (
            {"name": "x", "inner": {"steps": 1, "epochs": 1}},
            'f: in "inner", give either steps or epochs.',
            "Change one",
        ),
    ],
)
def test_invalid_values_are_reported_with_their_key(values: dict[str, object], problem: str, remedy: str) -> None:
    with pytest.raises(InputError) as error:
        parse_settings(Outer, values, "f")
    assert error.value.problem == problem and error.value.remedy.startswith(remedy)


def test_keys_are_known_with_their_section() -> None:
    assert known_keys(Outer) == {"name", "inner", "inner.rate", "inner.steps", "inner.epochs"}


def test_each_difference_is_named_by_its_dotted_key() -> None:
    before = {"a": {"b": 1, "c": [1, 2]}, "gone": "x", "same": None}
    now = {"a": {"b": 2, "c": (1, 2)}, "new": True, "same": None}
    assert differences(before, now) == ["a.b was 1, now 2", "gone was x, now absent", "new was absent, now True"]


def test_equal_settings_do_not_differ() -> None:
    assert differences({"a": {"b": [1.5]}}, {"a": {"b": (1.5,)}}) == []
