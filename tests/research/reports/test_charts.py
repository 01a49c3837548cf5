import re
from xml.etree import ElementTree

from matplotlib.figure import Figure

from likebut.research.reports.charts import DARK, LIGHT, Colours, line_style, themed_svg


def draw(figure: Figure, colours: Colours) -> None:
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    axes.barh([0, 1], [1, 2], color=[colours.accent, colours.plain])
    axes.plot([0, 1], [0, 1], color=colours.series[3])
    axes.grid(color=colours.line)
    axes.set_title("<Title>", color=colours.ink)


def test_colours_are_the_page_s_variables() -> None:
    svg = themed_svg(draw, 300, 200, "one", "A chart.")
    for role in ("ink", "line", "accent", "plain", "series-3"):
        assert f"var(--{role})" in svg
    assert "#a1b" not in svg
    assert {colour for colour in re.findall("#[0-9a-f]{6}", svg)} <= {"#000000"}  # matplotlib's default


def test_several_charts_can_share_a_page() -> None:
    first, second = (themed_svg(draw, 300, 200, name, 'A "chart" & more.') for name in ("one", "two"))
    element = ElementTree.fromstring(first)
    assert element.attrib["role"] == "img" and element.attrib["aria-label"] == 'A "chart" & more.'
    assert [float(number) for number in element.attrib["viewBox"].split()] == [0, 0, 300, 200]
    assert "<Title>" in {text.text for text in element.iter("{http://www.w3.org/2000/svg}text")}
    ids = [re.findall(r'id="([^"]+)"', svg) for svg in (first, second)]
    assert ids[0] and not set(ids[0]) & set(ids[1])
    for svg, own in zip((first, second), ids, strict=True):
        assert len(own) == len(set(own))
        assert set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg)) == set(own)


def test_the_same_drawing_gives_the_same_text() -> None:
    assert themed_svg(draw, 300, 200, "one", "A chart.") == themed_svg(draw, 300, 200, "one", "A chart.")


def test_lines_differ_in_dashes_as_well_as_in_colour() -> None:
    styles = [line_style(number) for number in range(8)]
    assert styles[0].dashes == ""
    assert len({style.dashes for style in styles}) == len({style.number for style in styles}) == 8


def test_light_and_dark_have_the_same_roles() -> None:
    assert LIGHT.named().keys() == DARK.named().keys()
