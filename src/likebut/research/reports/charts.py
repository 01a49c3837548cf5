"""Charts as SVG elements whose colours are the page's variables, for light and dark pages; and the bar chart."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from markupsafe import Markup

from likebut.errors import require_extra
from likebut.files import atomic_path, write_text
from likebut.research.reports.contents import RowResult
from likebut.research.reports.summary import Score, ranking, score_of
from likebut.research.reports.wording import interval, percent

with require_extra("research"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, NARROW = 720, 340
BAR_METRICS = ("Recall@1", "Recall@10")

_PIXELS_PER_INCH = 72
_DOTS_PER_INCH = 144
_LIGHT_PAPER, _DARK_PAPER = "#ffffff", "#0d1117"
_ROW_HEIGHT, _HEAD, _FOOT, _GUTTER, _RIGHT = 42, 30, 22, 36, 48
_THICKNESS = 0.36
_DASHES = ("", "7 3", "2 2.5", "8 3 2 3", "12 3", "4 2 1 2 1 2", "5 5", "1 3")


@dataclass(frozen=True)
class Colours:
    """The colours of a chart, in hexadecimal form.

    Attributes:
        ink: Texts and intervals.
        faint: Less important texts.
        line: The grid.
        accent: The best row.
        plain: The other rows.
        series: Lines.
    """

    ink: str
    faint: str
    line: str
    accent: str
    plain: str
    series: tuple[str, ...]

    def named(self) -> dict[str, str]:
        """Return every colour by the name of its page variable: "ink", "series-0"."""
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
# Unused colours, replaced by the page's variables in the written SVG.
_PLACEHOLDERS = Colours(
    ink="#a1b000",
    faint="#a1b001",
    line="#a1b002",
    accent="#a1b003",
    plain="#a1b004",
    series=tuple(f"#a1b1{number:02x}" for number in range(len(LIGHT.series))),
)


@dataclass(frozen=True)
class LineStyle:
    """The style of a line, distinguished by dashes as well as by colour.

    Attributes:
        number: Index of the series' colour.
        dashes: Lengths in pixels, as in SVG; empty for a solid line.
    """

    number: int
    dashes: str

    @property
    def matplotlib_dashes(self) -> tuple[float, tuple[float, ...]]:
        """The dashes for matplotlib: offset and lengths."""
        return 0.0, tuple(float(length) for length in self.dashes.split())


def line_style(number: int) -> LineStyle:
    """Return the style of line ``number``; line 0 is solid."""
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
        name: Prefix of the element's ids, so that several charts can share a page.
        description: Alternative text for screen readers.
    """
    figure = new_figure(width, height)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        draw(figure, _PLACEHOLDERS)
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)
    svg = _with_own_ids(buffer.getvalue()[buffer.getvalue().index("<svg") :], name)
    for role, placeholder in _PLACEHOLDERS.named().items():
        svg = svg.replace(placeholder, f"var(--{role})")
    label = Markup('<svg role="img" aria-label="{}" ').format(description)
    return label + Markup(svg.removeprefix("<svg "))


def _with_own_ids(svg: str, name: str) -> str:
    """Remove unused ids and prefix the others with ``name``, so that ids are unique within a page."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))

    def renamed(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in used else ""

    svg = re.sub(r' id="([^"]+)"', renamed, svg)
    return re.sub(r'(url\(#|href="#)', rf"\1{name}-", svg)


def bare_axes(axes: Axes, colours: Colours) -> None:
    """Remove the frame and the tick marks of axes."""
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(colors=colours.faint, labelsize=11, length=0)


def write_chart(draw: Draw, width: float, height: float, path: Path, description: str) -> None:
    """Write a chart to ``path`` with the suffixes .svg and .png, atomically.

    The SVG has a background of its own, so that it is legible on any page.

    Args:
        draw: Draws into a figure with the given colours.
        width: In pixels.
        height: In pixels.
        path: Without a suffix.
        description: Alternative text for screen readers.
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


def bar_charts(rows: Sequence[RowResult]) -> list[Markup]:
    """Return the chart for wide and for narrow pages; empty if no row has one of :data:`BAR_METRICS`."""
    metrics = [metric for metric in BAR_METRICS if any(score_of(row, metric) is not None for row in rows)]
    if not metrics:
        return []
    description = _description(rows, metrics)
    block = _HEAD + _ROW_HEIGHT * len(rows) + _FOOT

    def side_by_side(figure: Figure, colours: Colours) -> None:
        _draw_panels(figure, colours, rows, metrics, columns=len(metrics))

    def stacked(figure: Figure, colours: Colours) -> None:
        _draw_panels(figure, colours, rows, metrics, columns=1)

    return [
        themed_svg(side_by_side, WIDE, block, "bars-wide", description),
        themed_svg(stacked, NARROW, block * len(metrics), "bars-narrow", description),
    ]


def _description(rows: Sequence[RowResult], metrics: Sequence[str]) -> str:
    parts = []
    for metric in metrics:
        values = [
            f"{row.name} {percent(score.value)} ({interval(score.low, score.high)})"
            for row, score in ranking(rows, metric)
        ]
        parts.append(f"{metric} in percent, best first: {', '.join(values)}.")
    return "Bar chart. " + " ".join(parts)


def _draw_panels(
    figure: Figure, colours: Colours, rows: Sequence[RowResult], metrics: Sequence[str], columns: int
) -> None:
    width, height = (float(side) for side in figure.get_size_inches() * figure.dpi)
    lines = -(-len(metrics) // columns)
    panel_width = (width - _GUTTER * (columns - 1)) / columns
    for number, metric in enumerate(metrics):
        left = (number % columns) * (panel_width + _GUTTER)
        bottom = height * (1 - (number // columns + 1) / lines) + _FOOT
        box = (left, bottom, panel_width - _RIGHT, height / lines - _HEAD - _FOOT)
        axes = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
        _draw_bars(axes, colours, rows, metric)


def _draw_bars(axes: Axes, colours: Colours, rows: Sequence[RowResult], metric: str) -> None:
    bare_axes(axes, colours)
    axes.set_title(f"{metric}, %", loc="left", color=colours.ink, fontsize=13, fontweight="bold", pad=10)
    axes.set_xlim(0, 100)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks([0, 25, 50, 75, 100])
    axes.set_yticks([])
    axes.grid(axis="x", color=colours.line, linewidth=1)
    axes.set_axisbelow(True)
    best = ranking(rows, metric)[0][1].shown
    for position, row in enumerate(rows):
        score = score_of(row, metric)
        axes.text(0, position - 0.1, row.name, color=colours.ink, fontsize=12, va="bottom")
        if score is None:
            axes.text(1, position + 0.2, "not measured", color=colours.faint, fontsize=11, va="center")
        else:
            _draw_bar(axes, colours, position + 0.2, score, is_best=score.shown == best)


def _draw_bar(axes: Axes, colours: Colours, at: float, score: Score, is_best: bool) -> None:
    axes.barh(at, score.value, height=_THICKNESS, color=colours.accent if is_best else colours.plain)
    axes.plot([score.low, score.high], [at, at], color=colours.ink, linewidth=1.5, clip_on=False)
    for end in (score.low, score.high):
        axes.plot([end, end], [at - 0.1, at + 0.1], color=colours.ink, linewidth=1.5, clip_on=False)
    if len(score.seeds) > 1:
        axes.plot(
            score.seeds, [at] * len(score.seeds), "o", markersize=4.5, markerfacecolor="none",
            markeredgecolor=colours.ink, markeredgewidth=1, clip_on=False,
        )  # fmt: skip
    label = f"★ {percent(score.value)}" if is_best else percent(score.value)
    axes.annotate(
        label, (max(score.high, *score.seeds, score.value), at), xytext=(6, 0), textcoords="offset points",
        color=colours.ink, fontsize=12, fontweight="bold" if is_best else "normal", va="center", annotation_clip=False,
    )  # fmt: skip
