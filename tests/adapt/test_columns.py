import pytest
from hypothesis import given
from hypothesis import strategies as st

from likebut.adapt.columns import Role, choose_columns, texts_in
from likebut.errors import InputError

ROWS = [
    {
        "sku": f"A-{number}",
        "title": f"{('red', 'blue', 'green')[number % 3]} box {('large', 'small')[number % 2]}",
        "price": str(number + 0.5),
        "colour": ("red", "blue", "green")[number % 3],
        "tags": "kitchen; storage",
        "description": "A box made of sturdy card that holds what you like to keep in it.",
        "split": "train",
        "link": f"https://shop.example/{number}",
        "empty": None,
    }
    | {"tags": "kitchen;storage" if number % 2 else "garden|storage", "description": f"A box number {number} made of "
       "sturdy card that holds whatever you like to keep in it."}
    for number in range(12)
]  # fmt: skip


def test_each_column_is_read_as_the_rule_says() -> None:
    roles = {column.name: column.role for column in choose_columns(ROWS)}
    assert roles == {"title": Role.NAME, "colour": Role.ATTRIBUTE, "tags": Role.TAGS, "description": Role.PROSE}


def test_without_a_column_called_title_the_one_with_most_values_is_the_name() -> None:
    rows = [{"what": f"thing {number % 6}", "room": ("bath", "hall")[number % 2]} for number in range(30)]
    assert {column.name: column.role for column in choose_columns(rows)} == {"what": Role.NAME, "room": Role.ATTRIBUTE}


def test_wanted_columns_alone_are_read() -> None:
    assert [column.name for column in choose_columns(ROWS, ["description"])] == ["description"]


def test_a_column_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(InputError) as raised:
        choose_columns(ROWS, ["titel"])
    assert '"titel"' in raised.value.problem
    assert "title" in raised.value.remedy and "description" in raised.value.remedy


def test_tags_are_split_and_markup_is_removed() -> None:
    assert texts_in("kitchen; storage|garden", Role.TAGS) == ["kitchen", "storage", "garden"]
    assert texts_in("<p>A <b>box</b></p>", Role.PROSE) == ["A  box"]
    assert texts_in(["a", "", "b"], Role.TAGS) == ["a", "b"]


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abc"), st.one_of(st.none(), st.text(), st.lists(st.text()), st.floats())),
        max_size=8,
    )
)
def test_any_values_are_taken(rows: list[dict[str, object]]) -> None:
    for column in choose_columns(rows):
        for row in rows:
            assert all(text.strip() for text in texts_in(row.get(column.name), column.role))
