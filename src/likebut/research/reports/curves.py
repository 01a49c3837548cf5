"""Learning curves: loss against step, one chart for each stage of training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from likebut.errors import InputError, require_extra
from likebut.files import read_jsonl
from likebut.research.reports.charts import (
    NARROW,
    WIDE,
    Colours,
    LineStyle,
    bare_axes,
    line_style,
    themed_svg,
)
from likebut.research.reports.contents import RowResult
from likebut.research.reports.wording import percent

with require_extra("research"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Every retriever's loss has the contrastive term; totals with different terms are not comparable.
COMMON_LOSS, TOTAL_LOSS = "query_loss", "loss"
_HEIGHT, _HEAD, _FOOT, _LEFT, _GUTTER, _RIGHT = 260, 30, 40, 34, 30, 8
_SMOOTHED_FROM = 12


@dataclass(frozen=True)
class Curve:
    """The losses of a training.

    Attributes:
        names: The rows that the training belongs to.
        style: The style of its line.
        losses: Loss name → values, for each loss that every logged step has.
    """

    names: tuple[str, ...]
    style: LineStyle
    steps: list[int]
    losses: dict[str, list[float]]


@dataclass(frozen=True)
class Stage:
    """The trainings of one stage, and the loss to draw."""

    name: str
    loss: str
    curves: list[Curve]

    @property
    def title(self) -> str:
        """The capitalised name."""
        return self.name[:1].upper() + self.name[1:]


@dataclass(frozen=True)
class CurveCharts:
    """The charts for wide and for narrow pages, and the data of their legend."""

    stages: list[Stage]
    charts: list[Markup]


def read_curve(path: Path, names: tuple[str, ...], style: LineStyle) -> Curve:
    """Return the losses in a training's ``metrics.jsonl``.

    Raises:
        InputError: The file is missing or contains no loss.
    """
    rows = [row for _, row in read_jsonl(path) if TOTAL_LOSS in row]
    if not rows:
        raise InputError(f"{path} contains no loss.", "Give the metrics.jsonl of a training.", code="no-loss")
    shared = [name for name in (COMMON_LOSS, TOTAL_LOSS) if all(name in row for row in rows)]
    return Curve(
        names, style, [int(row["step"]) for row in rows], {name: [float(row[name]) for row in rows] for name in shared}
    )


def read_stages(rows: Sequence[RowResult]) -> list[Stage]:
    """Return the rows' trainings by stage; a training that several rows share occurs once.

    Raises:
        InputError: A metrics log is missing or damaged.
    """
    users: dict[str, dict[Path, list[int]]] = {}
    for number, row in enumerate(rows):
        for stage, path in row.curves.items():
            users.setdefault(stage, {}).setdefault(path, []).append(number)
    stages = []
    for stage, paths in users.items():
        curves = [
            # Counted from the last row, the one that the others are compared with, so that it gets the solid line.
            read_curve(path, tuple(rows[number].name for number in numbers), line_style(len(rows) - 1 - numbers[-1]))
            for path, numbers in paths.items()
        ]
        common = all(COMMON_LOSS in curve.losses for curve in curves)
        stages.append(Stage(stage, COMMON_LOSS if common else TOTAL_LOSS, curves))
    return stages


def smoothed(values: Sequence[float]) -> list[float]:
    """Return centred moving averages over about a tenth of the values; short series are unchanged."""
    if len(values) < _SMOOTHED_FROM:
        return list(values)
    half = max(1, len(values) // 20)
    windows = (values[max(0, centre - half) : centre + half + 1] for centre in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def curve_charts(rows: Sequence[RowResult]) -> CurveCharts | None:
    """Return the learning curves of all rows, or None if no row was trained.

    Raises:
        InputError: A metrics log is missing or damaged.
    """
    stages = read_stages(rows)
    if not stages:
        return None
    columns = min(2, len(stages))
    description = _description(stages)

    def side_by_side(figure: Figure, colours: Colours) -> None:
        _draw_panels(figure, colours, stages, columns)

    def stacked(figure: Figure, colours: Colours) -> None:
        _draw_panels(figure, colours, stages, columns=1)

    lines = math.ceil(len(stages) / columns)
    charts = [
        themed_svg(side_by_side, WIDE, _HEIGHT * lines, "curves-wide", description),
        themed_svg(stacked, NARROW, _HEIGHT * len(stages), "curves-narrow", description),
    ]
    return CurveCharts(stages, charts)


def _description(stages: Sequence[Stage]) -> str:
    parts = []
    for stage in stages:
        ends = []
        for curve in stage.curves:
            values = smoothed(curve.losses[stage.loss])
            ends.append(f"{' and '.join(curve.names)} from {percent(values[0])} to {percent(values[-1])}")
        parts.append(f"{stage.title}, smoothed {stage.loss}: {'; '.join(ends)}.")
    return "Line charts of loss against step. " + " ".join(parts)


def _draw_panels(figure: Figure, colours: Colours, stages: Sequence[Stage], columns: int) -> None:
    width, height = (float(side) for side in figure.get_size_inches() * figure.dpi)
    lines = math.ceil(len(stages) / columns)
    panel_width = (width - _GUTTER * (columns - 1)) / columns
    for number, stage in enumerate(stages):
        left = (number % columns) * (panel_width + _GUTTER) + _LEFT
        bottom = height * (1 - (number // columns + 1) / lines) + _FOOT
        box = (left, bottom, panel_width - _LEFT - _RIGHT, height / lines - _HEAD - _FOOT)
        axes = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
        _draw_stage(axes, colours, stage)


def _draw_stage(axes: Axes, colours: Colours, stage: Stage) -> None:
    bare_axes(axes, colours)
    axes.annotate(
        f"{stage.title}: {stage.loss}", (0, 1), xycoords="axes fraction",
        xytext=(-_LEFT, 12), textcoords="offset points", color=colours.ink, fontsize=13, fontweight="bold",
    )  # fmt: skip
    axes.set_xlabel("step", color=colours.faint, fontsize=11)
    axes.grid(color=colours.line, linewidth=1)
    axes.set_axisbelow(True)
    for curve in stage.curves:
        values, colour = curve.losses[stage.loss], colours.series[curve.style.number]
        axes.plot(curve.steps, values, color=colour, linewidth=1, alpha=0.22)
        axes.plot(
            curve.steps, smoothed(values), color=colour, linewidth=2, linestyle=_dashes(curve.style),
            solid_capstyle="round",
        )  # fmt: skip


def _dashes(style: LineStyle) -> object:
    offset, lengths = style.matplotlib_dashes
    # matplotlib counts dashes in line widths; these lines are two pixels wide.
    return (offset, tuple(length / 2 for length in lengths)) if lengths else "-"
