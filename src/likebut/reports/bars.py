"""The bar chart: what each row scored, with its interval."""

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from likebut.reports.charts import NARROW, WIDE, Colours, bare_axes, themed_svg
from likebut.reports.contents import RowResult
from likebut.reports.scores import Score, ranking, score_of
from likebut.reports.wording import interval, percent

BAR_METRICS = ("Recall@1", "Recall@10")
_ROW_HEIGHT, _HEAD, _FOOT, _GUTTER, _RIGHT = 42, 30, 22, 36, 48
_THICKNESS = 0.36


def bar_charts(rows: Sequence[RowResult]) -> list[Markup]:
    """Return the chart for wide and for narrow pages, or nothing if no row has one of :data:`BAR_METRICS`."""
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
        figures = [
            f"{row.name} {percent(score.value)} ({interval(score.low, score.high)})"
            for row, score in ranking(rows, metric)
        ]
        parts.append(f"{metric} in percent, best first: {', '.join(figures)}.")
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
    for place, row in enumerate(rows):
        score = score_of(row, metric)
        axes.text(0, place - 0.1, row.name, color=colours.ink, fontsize=12, va="bottom")
        if score is None:
            axes.text(1, place + 0.2, "not measured", color=colours.faint, fontsize=11, va="center")
        else:
            _draw_bar(axes, colours, place + 0.2, score, is_best=score.shown == best)


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
