import re
from xml.etree import ElementTree

import pytest

from helpers.report_samples import make_row
from likebut.research.reports.charts import bar_charts

SVG = "{http://www.w3.org/2000/svg}"


def texts_in(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def lengths_of(svg: str, colour: str) -> list[float]:
    """Return the length of each shape filled with ``colour``."""
    paths = (path for path in ElementTree.fromstring(svg).iter(f"{SVG}path"))
    drawn = [path.attrib["d"] for path in paths if f"fill: var(--{colour})" in path.attrib.get("style", "")]
    across = [[float(x) for x in re.findall(r"[ML] ([\d.]+) [\d.]+", shape)] for shape in drawn]
    return [max(xs) - min(xs) for xs in across]


def test_the_length_of_a_bar_is_its_value() -> None:
    rows = [make_row("A", {"Recall@1": 20.0}), make_row("B", {"Recall@1": 60.0}), make_row("C", {"Recall@1": 40.0})]
    for svg in bar_charts(rows):
        (best,) = lengths_of(svg, "accent")
        assert lengths_of(svg, "plain") == pytest.approx([best / 3, best * 2 / 3], rel=0.01)


def test_only_the_best_row_has_a_star() -> None:
    rows = [
        make_row("A", {"Recall@1": 62.75, "Recall@10": 80.0}),
        make_row("B", {"Recall@1": 50.0, "Recall@10": 90.0}),
    ]
    for svg in bar_charts(rows):
        texts = texts_in(svg)
        assert texts.count("A") == texts.count("B") == 2
        assert [text for text in texts if "★" in text] == ["★ 62.8", "★ 90.0"]
        assert {"50.0", "80.0", "Recall@1, %", "Recall@10, %"} <= set(texts)


def test_the_alternative_text_contains_the_values() -> None:
    rows = [make_row("A", {"Recall@1": 20.0}), make_row("B", {"Recall@1": 60.0})]
    label = ElementTree.fromstring(bar_charts(rows)[0]).attrib["aria-label"]
    assert label == ("Bar chart. Recall@1 in percent, best first: B 60.0 (58.0 – 62.0), A 20.0 (18.0 – 22.0).")


def test_a_row_without_the_metric_is_labelled() -> None:
    rows = [make_row("A", {"Recall@1": 20.0}), make_row("B", {"Recall@5": 60.0})]
    assert texts_in(bar_charts(rows)[0]).count("not measured") == 1
    assert bar_charts([make_row("B", {"Recall@5": 60.0})]) == []


def test_each_seed_is_a_circle() -> None:
    seeds = [{"Recall@1": value} for value in (50.0, 55.0, 60.0)]
    element = ElementTree.fromstring(bar_charts([make_row("A", *seeds)])[0])
    assert (
        len(list(element.iter(f"{SVG}use")))
        - len(list(ElementTree.fromstring(bar_charts([make_row("A", seeds[0])])[0]).iter(f"{SVG}use")))
        == 3
    )
