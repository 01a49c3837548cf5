from likebut.settings import differences


def test_each_differing_leaf_is_named_by_its_dotted_key() -> None:
    found = {"a": {"b": 1, "c": [1, 2]}, "d": None, "same": {"x": "y"}}
    wanted = {"a": {"b": 2, "c": (1, 2)}, "e": True, "same": {"x": "y"}}
    assert differences(found, wanted) == ["a.b was 1, now 2", "d was None, now absent", "e was absent, now True"]


def test_equal_settings_do_not_differ() -> None:
    assert differences({"a": {"b": [1.5]}}, {"a": {"b": (1.5,)}}) == []
