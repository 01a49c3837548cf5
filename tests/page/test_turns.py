"""The encoding of a search in the URL, tested in the browser."""

from typing import Any

import pytest

from helpers.page_driver import Visitor

A, B = "a" * 64, "b" * 64


def turn(**changes: Any) -> dict[str, Any]:
    return {"images": [], "text": "", "negative": "", "weight": 0.5, "filter": {}} | changes


def in_page(visitor: Visitor, call: str, argument: Any) -> Any:
    visitor.open()
    return visitor.page.evaluate(
        f"async argument => {{ const turns = await import('/page/turns.js'); {call} }}", argument
    )


TRAILS = [
    {"turns": [turn()], "at": 0},
    {"turns": [turn(text="in red & blue + 100 % = ünï\n\"'<>")], "at": 0},
    {"turns": [turn(images=[{"id": A}, {"id": B}], text="x", negative="y", weight=0.05)], "at": 0},
    {"turns": [turn(filter={"price": {">=": 1.5}, "a&b": ["=", "+"], "kids": False})], "at": 0},
    {"turns": [turn(text="one"), turn(images=[{"id": A}]), turn(text="three", weight=1)], "at": 1},
    {"turns": [turn(), turn(text="two")], "at": 0},
]


def test_trails_round_trip_through_the_url(visitor: Visitor) -> None:
    call = "return argument.map(trail => turns.decode(turns.encode(trail)));"
    assert in_page(visitor, call, TRAILS) == TRAILS


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"turns": [turn()], "at": 0}),
        ("?image_id=x&text=a&text=b", {"turns": [turn(images=[{"id": "x"}], text="b")], "at": 0}),
        ("?weight=7&filter=[1]&at=9&nope=1", {"turns": [turn()], "at": 0}),
        ("?weight=nan&filter={&at=-1", {"turns": [turn()], "at": 0}),
        ("?then&then&text=c&at=x", {"turns": [turn(), turn(), turn(text="c")], "at": 2}),
        ("?upload=a.png", {"turns": [turn(images=[{"upload": None, "name": "a.png"}])], "at": 0}),
    ],
)
def test_invalid_parts_of_a_url_are_ignored(visitor: Visitor, query: str, expected: dict[str, Any]) -> None:
    assert in_page(visitor, "return turns.decode(argument);", query) == expected


def test_refining_an_earlier_step_drops_later_ones(visitor: Visitor) -> None:
    call = """
        let trail = turns.begun({ id: "a" });
        trail = turns.edited(trail, { text: "one", filter: { kids: true } });
        trail = turns.refined(trail, { id: "b" });
        trail = turns.refined(trail, { id: "c" });
        const back = turns.returned(trail, 1);
        return [trail, back, turns.edited(back, { text: "two" }), turns.refined(turns.emptyTrail(), { id: "d" })];
    """
    trail, back, branch, first = in_page(visitor, call, None)
    kept = {"kids": True}
    images = [each["images"] for each in trail["turns"]]
    assert images == [[{"id": "a"}], [{"id": "b"}], [{"id": "c"}]] and trail["at"] == 2
    assert trail["turns"][2] == turn(images=[{"id": "c"}], filter=kept)
    assert back == {**trail, "at": 1}
    assert branch["turns"] == [trail["turns"][0], turn(images=[{"id": "b"}], text="two", filter=kept)]
    assert first == {"turns": [turn(images=[{"id": "d"}])], "at": 0}
