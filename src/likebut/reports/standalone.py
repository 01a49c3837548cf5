"""A chart as files of its own: an SVG that follows the reader's light or dark, and a PNG."""

import re
from pathlib import Path

from likebut.files import atomic_path, write_text
from likebut.reports.charts import DARK, LIGHT, Colours, Draw, new_figure, themed_svg

_DOTS_PER_INCH = 144
_LIGHT_PAPER, _DARK_PAPER = "#ffffff", "#0d1117"


def write_chart(draw: Draw, width: float, height: float, path: Path, description: str) -> None:
    """Write a chart to ``path`` with the endings .svg and .png, atomically.

    The SVG brings its own paper: it can be read on whatever page it stands.

    Args:
        draw: Draws into a figure with the given colours.
        width: In pixels.
        height: In pixels.
        path: Without an ending.
        description: What someone who does not see the chart is told.
    """
    svg = str(themed_svg(draw, width, height, path.name, description))
    opening = re.match(r"<svg[^>]*>", svg)
    assert opening is not None
    paper = '<rect width="100%" height="100%" style="fill: var(--paper)"/>'
    write_text(path.with_suffix(".svg"), opening[0] + _style() + paper + svg[opening.end() :])
    figure = new_figure(width, height)
    draw(figure, LIGHT)
    with atomic_path(path.with_suffix(".png")) as temporary:
        figure.savefig(temporary, format="png", dpi=_DOTS_PER_INCH, facecolor=_LIGHT_PAPER, metadata={"Software": None})


def _style() -> str:
    def variables(colours: Colours, paper: str) -> str:
        named = colours.named() | {"paper": paper}
        return "svg{" + "".join(f"--{role}:{colour};" for role, colour in named.items()) + "}"

    light, dark = variables(LIGHT, _LIGHT_PAPER), variables(DARK, _DARK_PAPER)
    return f"<style>{light}@media (prefers-color-scheme: dark){{{dark}}}</style>"
