"""Charts as SVG that stands inside a page and takes its colours from it, so that it reads on light and on dark."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, fields

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDE, NARROW = 720, 340
_PIXELS_PER_INCH = 72
_DASHES = ("", "7 3", "2 2.5", "8 3 2 3", "12 3", "4 2 1 2 1 2", "5 5", "1 3")


@dataclass(frozen=True)
class Colours:
    """What a chart is drawn in, as hexadecimal colours.

    Attributes:
        ink: Texts and intervals.
        faint: Less important texts.
        line: The grid.
        accent: The winner.
        plain: The others.
        series: Lines that must be told apart.
    """

    ink: str
    faint: str
    line: str
    accent: str
    plain: str
    series: tuple[str, ...]

    def named(self) -> dict[str, str]:
        """Return every colour by the name that a page gives it: "ink", "series-0"."""
        single = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "series"}
        return single | {f"series-{number}": colour for number, colour in enumerate(self.series)}


LIGHT = Colours(
    ink="#1f2328",
    faint="#59636e",
    line="#d8dee4",
    accent="#0b62b8",
    plain="#8795a4",
    series=("#0b62b8", "#c2410c", "#0f7b55", "#8b3fa8", "#be185d", "#0e7490", "#9a6700", "#57606a"),
)
DARK = Colours(
    ink="#e6edf3",
    faint="#9da7b3",
    line="#363d46",
    accent="#6cb6ff",
    plain="#76828f",
    series=("#6cb6ff", "#ff9e64", "#56d4a0", "#d2a8ff", "#ff8fb8", "#5fd3e6", "#e3b341", "#a5b0bb"),
)
# Colours that no drawing has, each replaced by the page's variable once the SVG is written.
_STAND_INS = Colours(
    ink="#a1b000",
    faint="#a1b001",
    line="#a1b002",
    accent="#a1b003",
    plain="#a1b004",
    series=tuple(f"#a1b1{number:02x}" for number in range(len(LIGHT.series))),
)


@dataclass(frozen=True)
class LineStyle:
    """How one of several lines is drawn: told apart by dashes as well as by colour.

    Attributes:
        number: Which of the series' colours.
        dashes: Lengths in pixels, as in SVG; empty for a solid line.
    """

    number: int
    dashes: str

    @property
    def matplotlib_dashes(self) -> tuple[float, tuple[float, ...]]:
        """The same for matplotlib: an offset, and the lengths."""
        return 0.0, tuple(float(length) for length in self.dashes.split())


def line_style(number: int) -> LineStyle:
    """Return the style of line ``number``, counted from 0, which is the solid one."""
    series = len(LIGHT.series)
    return LineStyle(number % series, _DASHES[number % series])


Draw = Callable[[Figure, Colours], None]


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of ``width`` × ``height`` pixels."""
    return Figure(figsize=(width / _PIXELS_PER_INCH, height / _PIXELS_PER_INCH), dpi=_PIXELS_PER_INCH)


def themed_svg(draw: Draw, width: float, height: float, name: str, description: str) -> Markup:
    """Return a drawing as an ``<svg>`` element whose colours are the page's variables ``--ink``, ``--series-0``, ….

    Args:
        draw: Draws into a figure with the given colours.
        width: In pixels.
        height: In pixels.
        name: Begins the element's ids, so that several charts share a page.
        description: What someone who does not see the chart is told.
    """
    figure = new_figure(width, height)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        draw(figure, _STAND_INS)
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)
    svg = _with_own_ids(buffer.getvalue()[buffer.getvalue().index("<svg") :], name)
    for role, stand_in in _STAND_INS.named().items():
        svg = svg.replace(stand_in, f"var(--{role})")
    label = Markup('<svg role="img" aria-label="{}" ').format(description)
    return label + Markup(svg.removeprefix("<svg "))


def _with_own_ids(svg: str, name: str) -> str:
    """Drop the ids that nothing refers to and begin the others with ``name``: ids are unique within a page."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))

    def renamed(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in used else ""

    svg = re.sub(r' id="([^"]+)"', renamed, svg)
    return re.sub(r'(url\(#|href="#)', rf"\1{name}-", svg)


def bare_axes(axes: Axes, colours: Colours) -> None:
    """Leave of the axes only what helps to read: no frame, quiet ticks."""
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(colors=colours.faint, labelsize=11, length=0)
