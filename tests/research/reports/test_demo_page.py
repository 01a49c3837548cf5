import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from helpers.report_samples import make_row, sample_contents
from likebut.research.reports.contents import DemoContents
from likebut.research.reports.page import write_demo_page

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\""


class Page(HTMLParser):
    """Every element of a page, and its text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] != "style":
            self.words += f" {data}"

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def page_of(contents: DemoContents, folder: Path) -> str:
    write_demo_page(contents, folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def markup(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("demo")
    return page_of(sample_contents(folder), folder)


@pytest.fixture(scope="module")
def page(markup: str) -> Page:
    return Page(markup)


def test_the_page_is_self_contained(markup: str, page: Page) -> None:
    assert not page.all("script", "link", "iframe", "object")
    for attributes in page.all("img"):
        assert (attributes["src"] or "").startswith("data:image/webp;base64,")
    anchors = {f"#{attributes.get('id')}" for _, attributes in page.elements}
    for _, attributes in page.elements:
        for name in ("href", "xlink:href"):
            assert attributes.get(name) is None or attributes[name] in anchors
    outside = set(re.findall(r"https?://[^\"' ]+", markup))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names, not addresses


def test_the_page_is_accessible(page: Page) -> None:
    assert all(attributes["alt"] for attributes in page.all("img"))
    assert all(attributes.get("aria-label") or attributes.get("aria-hidden") for attributes in page.all("svg"))
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption") >= 6
    assert tags.count("h1") == 1
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert all(later - earlier <= 1 for earlier, later in zip(levels, levels[1:], strict=False))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert page.all("html")[0]["lang"] == "en"


def test_every_element_is_closed(markup: str) -> None:
    for tag in ("table", "tr", "th", "td", "ol", "ul", "li", "div", "section", "figure", "p", "span", "dl", "svg"):
        assert len(re.findall(rf"<{tag}[\s>]", markup)) == markup.count(f"</{tag}>"), tag


def test_targets_are_marked_in_words_and_by_a_tick(page: Page, markup: str) -> None:
    alternatives = [attributes["alt"] for attributes in page.all("img")]
    assert alternatives == [
        "Reference image of query 1",
        "Result 1 of query 1: not a target",
        "Result 2 of query 1: target",
        "Reference image of query 2",
        "Result 1 of query 2: not a target",
        "Result 2 of query 2: not a target",
        "Reference image of text 1",
        "Target image of text 1",
        "Reference image of text 2",
        "Target image of text 2",
    ]
    assert sum(attributes.get("class") == "right" for attributes in page.all("li")) == 1
    # The hit, and the text that claims every change and nothing else.
    assert markup.count("✓") == 2
    assert "rank 2." in page.words
    assert "No target is among the first 50" in page.words


def test_the_table_marks_the_best_values_in_words(page: Page) -> None:
    best = [attributes["data-label"] for attributes in page.all("td") if "best" in (attributes.get("class") or "")]
    assert best == ["Recall@1", "Recall@10", "Hard-negative rate"]
    assert page.words.count("best: ") == 3
    assert page.words.count("not measured") == 1
    assert "58.0 – 62.0" in page.words


def test_the_page_contains_metrics_texts_and_settings(page: Page) -> None:
    words = re.sub(r"[ \n]+", " ", page.words)
    for part in (
        "60.0 % (Recall@1",
        "A random sample of two queries.",
        "“make it green”",
        "“make it big and red”",
        "0 of 1 true change, 2 false",
        "Shuffled-image control 20.0 17.0 18.4",
        "100 mined pairs gave 150 training triplets",
        "decoding.method greedy",
        "processor a fast one",
        "2 min 00 s and at most 1\N{NARROW NO-BREAK SPACE}234 MiB",
        "likebut search finds your own pictures.",
        "A note.",
    ):
        assert part in words, part


def test_html_in_texts_is_escaped(tmp_path: Path) -> None:
    contents = sample_contents(tmp_path)
    contents = replace(
        contents,
        title=HOSTILE,
        rows=[make_row(HOSTILE, {"Recall@1": 1.0}, curves={HOSTILE: contents.rows[0].curves["training"]})],
        panels=[replace(contents.panels[0], modification=HOSTILE)],
        panel_rule=HOSTILE,
        written=[replace(contents.written[0], written=HOSTILE, changes=[HOSTILE])],
        settings={HOSTILE: HOSTILE},
        machine={HOSTILE: HOSTILE},
        seconds={HOSTILE: 1.0},
        next_step=f"`{HOSTILE}` {HOSTILE}",
        notes=[HOSTILE],
    )
    page = Page(page_of(contents, tmp_path))
    assert not page.all("script")
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert page.words.count("alert('x')") >= 15


def test_missing_parts_are_left_out(tmp_path: Path) -> None:
    contents = sample_contents(tmp_path)
    bare = replace(
        contents,
        rows=[make_row("Only", {"mAP@10": 5.0})],
        panels=[],
        written=[],
        grounding=None,
        notes=[],
        synthesis=replace(contents.synthesis, reverse_reasons={}),
    )
    page = Page(page_of(bare, tmp_path))
    assert not page.all("img", "svg", "figure")
    assert "No row has Recall@1" in page.words
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert {(attributes["href"] or "").removeprefix("#") for attributes in page.all("a")} <= ids


def test_the_same_contents_give_the_same_page(tmp_path: Path, markup: str) -> None:
    assert page_of(sample_contents(tmp_path), tmp_path) == markup


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.2."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(markup: str, scheme: str) -> None:
    style = markup[markup.index("<style>") : markup.index("</style>")]
    dark_blocks = re.findall(r"@media \(prefers-color-scheme: dark\) \{(.*?)\n\}", style, flags=re.DOTALL)
    light = re.sub(r"@media \(prefers-color-scheme: dark\) \{.*?\n\}", "", style, flags=re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light if scheme == "light" else "".join(dark_blocks)))
    for text in ("ink", "faint", "accent"):
        for ground in ("paper", "card", "best"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["good"], colours["on-good"]) >= 4.5
    for shape in ("good", "plain", *(f"series-{number}" for number in range(8))):
        assert contrast(colours[shape], colours["paper"]) >= 3, shape
