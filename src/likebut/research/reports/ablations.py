"""The ablations' figures, tables and page: lines with error bars for numbered rows, dots for named ones."""

from collections.abc import Sequence
from pathlib import Path

from likebut.errors import require_extra
from likebut.files import write_json, write_text
from likebut.research.ablations.results import AblationOutcome, AblationOutcomes, RowOutcome, SeedValues
from likebut.research.reports.charts import WIDE, Colours, bare_axes, line_style, write_chart
from likebut.research.reports.wording import count, duration, interval, percent, plural

with require_extra("research"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURE_METRICS = ("Recall@1", "Recall@10")
TABLE_METRICS = ("Recall@1", "Recall@5", "Recall@10", "Recall@50", "Recall_subset@1")
RANGED_METRIC = "Recall@10"

_HEIGHT, _ROW_HEIGHT = 300, 46
_LEFT, _RIGHT, _HEAD, _FOOT, _GUTTER, _LEGEND = 52, 14, 36, 52, 28, 22
_CAP = 4


def write_ablation_report(outcome: AblationOutcomes, folder: Path) -> None:
    """Write the results as JSON, a Markdown page, and one table and one figure per ablation into ``folder``."""
    write_json(folder / "results.json", outcome.to_json())
    for ablation in outcome.ablations:
        write_text(folder / "tables" / f"{ablation.name}.md", markdown_table(ablation))
    draw_figures(outcome.ablations, folder / "figures")
    write_text(folder / "ablations.md", markdown_page(outcome))


def draw_figures(ablations: Sequence[AblationOutcome], folder: Path) -> list[Path]:
    """Write ``NAME.svg`` and ``NAME.png`` for each ablation; returns the SVG files."""
    written = []
    for ablation in ablations:
        metrics = shown_metrics(ablation)
        if not metrics:
            continue

        def draw(figure: Figure, colours: Colours, ablation: AblationOutcome = ablation) -> None:
            _draw(figure, colours, ablation)

        write_chart(draw, WIDE, _height(ablation), folder / ablation.name, description_of(ablation))
        written.append(folder / f"{ablation.name}.svg")
    return written


def shown_metrics(ablation: AblationOutcome) -> list[str]:
    """Return the :data:`FIGURE_METRICS` that all rows have."""
    return [name for name in FIGURE_METRICS if all(name in row.metrics for row in ablation.rows)]


def description_of(ablation: AblationOutcome) -> str:
    """Return the figure's alternative text."""
    parts = []
    for metric in shown_metrics(ablation):
        values = [f"{row.label} {format_values(row.metrics[metric])}" for row in ablation.rows]
        parts.append(f"{metric} in percent: {', '.join(values)}.")
    return f"{ablation.title}. " + " ".join(parts)


def format_values(values: SeedValues) -> str:
    """Return "61.3 ± 1.2", or "61.3" with one seed."""
    deviation = values.standard_deviation
    return percent(values.mean) + ("" if deviation is None else f" ± {percent(deviation)}")


def spread_note(ablation: AblationOutcome) -> str:
    """Return the legend of the markers, for the foot of the figure."""
    seeds = len(next(iter(ablation.rows[0].metrics.values())).values)
    if seeds == 1:
        return "One seed: the standard deviation is unknown."
    return f"Markers: mean of {plural(seeds, 'seed')}; bars: ± standard deviation; small rings: single seeds."


def _series(ablation: AblationOutcome) -> dict[str, list[RowOutcome]]:
    series: dict[str, list[RowOutcome]] = {}
    for row in ablation.rows:
        series.setdefault(row.series, []).append(row)
    return series


def _height(ablation: AblationOutcome) -> int:
    legend = _LEGEND * len(_series(ablation)) if len(_series(ablation)) > 1 else 0
    body = _HEIGHT if ablation.axis else _HEAD + _FOOT + _ROW_HEIGHT * len(ablation.rows)
    return body + legend + _LEGEND


def _draw(figure: Figure, colours: Colours, ablation: AblationOutcome) -> None:
    metrics, series = shown_metrics(ablation), _series(ablation)
    width, height = (float(side) for side in figure.get_size_inches() * figure.dpi)
    below = _LEGEND * (1 + (len(series) if len(series) > 1 else 0))
    each = (width - _GUTTER * (len(metrics) - 1)) / len(metrics)
    for column, metric in enumerate(metrics):
        left, bottom = column * (each + _GUTTER) + _LEFT, below + _FOOT
        box = (left, bottom, each - _LEFT - _RIGHT, height - bottom - _HEAD)
        axes = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
        bare_axes(axes, colours)
        axes.set_title(metric, loc="left", color=colours.ink, fontsize=13, fontweight="bold", pad=12)
        axes.set_axisbelow(True)
        if ablation.axis:
            _draw_lines(axes, colours, series, metric, ablation.axis)
        else:
            _draw_named(axes, colours, ablation.rows, metric)
    _draw_foot(figure, colours, list(series), spread_note(ablation), height)


def _draw_lines(axes: Axes, colours: Colours, series: dict[str, list[RowOutcome]], metric: str, axis: str) -> None:
    axes.grid(color=colours.line, linewidth=1)
    axes.set_xlabel(axis, color=colours.faint, fontsize=11)
    axes.set_ylabel(f"{metric} (%)", color=colours.faint, fontsize=11)
    for number, rows in enumerate(series.values()):
        style = line_style(number)
        colour = colours.series[style.number]
        positions = [row.x or 0.0 for row in rows]
        spreads = [row.metrics[metric] for row in rows]
        offset, dashes = style.matplotlib_dashes
        axes.errorbar(
            positions, [spread.mean for spread in spreads],
            yerr=[spread.standard_deviation or 0.0 for spread in spreads],
            color=colour, linewidth=2, linestyle=(offset, tuple(length / 2 for length in dashes)) if dashes else "-",
            marker="os^D"[number % 4], markersize=6, capsize=_CAP, elinewidth=1.5,
        )  # fmt: skip
        for position, spread in zip(positions, spreads, strict=True):
            _draw_seeds(axes, colours, [position] * len(spread.values), spread.values)
    axes.margins(x=0.06, y=0.14)


def _draw_named(axes: Axes, colours: Colours, rows: Sequence[RowOutcome], metric: str) -> None:
    axes.grid(axis="x", color=colours.line, linewidth=1)
    axes.set_xlabel(f"{metric} (%)", color=colours.faint, fontsize=11)
    axes.set_yticks([])
    axes.set_ylim(len(rows) - 0.4, -0.7)
    for position, row in enumerate(rows):
        spread = row.metrics[metric]
        axes.errorbar(
            [spread.mean], [position], xerr=[spread.standard_deviation or 0.0], fmt="o", color=colours.series[0],
            markersize=7, capsize=_CAP, elinewidth=1.5,
        )  # fmt: skip
        _draw_seeds(axes, colours, spread.values, [position] * len(spread.values))
        axes.annotate(
            f"{row.label}: {format_values(spread)}", (0, position), xycoords=("axes fraction", "data"), xytext=(0, 10),
            textcoords="offset points", color=colours.ink, fontsize=10.5, annotation_clip=False,
        )  # fmt: skip
    axes.margins(x=0.14)
    axes.locator_params(axis="x", nbins=6)


def _draw_seeds(axes: Axes, colours: Colours, across: Sequence[float], up: Sequence[float]) -> None:
    if len(across) > 1:
        axes.plot(
            across, up, "o", markersize=3.5, markerfacecolor="none", markeredgecolor=colours.ink, markeredgewidth=0.8
        )


def _draw_foot(figure: Figure, colours: Colours, series: Sequence[str], note: str, height: float) -> None:
    width = float(figure.get_size_inches()[0] * figure.dpi)
    figure.text(_LEFT / width, 8 / height, note, color=colours.faint, fontsize=10.5)
    if len(series) < 2:
        return
    key = figure.add_axes((0, (_LEGEND + 4) / height, 1, _LEGEND * len(series) / height))
    key.set_axis_off()
    key.set_xlim(0, width)
    key.set_ylim(len(series), 0)
    for number, name in enumerate(series):
        style = line_style(number)
        offset, dashes = style.matplotlib_dashes
        key.plot(
            [_LEFT, _LEFT + 15, _LEFT + 30], [number + 0.5] * 3, color=colours.series[style.number], linewidth=2,
            linestyle=(offset, tuple(length / 2 for length in dashes)) if dashes else "-", marker="os^D"[number % 4],
            markevery=[1], markersize=6,
        )  # fmt: skip
        key.text(_LEFT + 40, number + 0.5, name, color=colours.ink, fontsize=11, va="center")


def markdown_table(ablation: AblationOutcome) -> str:
    """Return an ablation's table: mean ± standard deviation of each metric, the range of one, data and steps."""
    metrics = [name for name in TABLE_METRICS if all(name in row.metrics for row in ablation.rows)]
    ranged = [RANGED_METRIC] if RANGED_METRIC in metrics else []
    header = ["", *metrics, *(f"{name}, range" for name in ranged), "synthetic", "human", "steps"]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    lines += [_cells(row, metrics, ranged) for row in ablation.rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(row: RowOutcome, metrics: Sequence[str], ranged: Sequence[str]) -> list[str]:
    tuning = row.steps - row.pretraining_steps
    return [
        row.label,
        *(format_values(row.metrics[name]) for name in metrics),
        *(interval(*row.metrics[name].range) for name in ranged),
        count(row.synthetic),
        count(row.human),
        f"{count(row.pretraining_steps)} + {count(tuning)} = {count(row.steps)}",
    ]


def markdown_page(outcome: AblationOutcomes) -> str:
    """Return the page: the setup, then the question, figure and table of each ablation."""
    settings, data = outcome.settings, outcome.data
    parts = [
        "# Ablations\n",
        f"{summary_line(outcome)}\n",
        f"Evaluated on the split {data['split']}: {plural(data['queries'], 'query', 'queries')} over a gallery of "
        f"{count(data['gallery'])} images without the reference. Preset {settings.preset}, generator "
        f"{settings.generator}, initial weights {settings.init or 'of the preset'}. Metrics are percentages: mean ± "
        "standard deviation over seeds. Steps are those on synthetic triplets + those on human ones = all; human "
        "triplets are used in both directions.\n",
    ]
    for ablation in outcome.ablations:
        parts += [
            f"## {ablation.title}\n",
            f"{ablation.question}\n",
            f"![{ablation.title}](figures/{ablation.name}.svg)\n",
            f"*{spread_note(ablation)}*\n",
            markdown_table(ablation),
        ]
    return "\n".join(parts)


def summary_line(outcome: AblationOutcomes) -> str:
    """Return a line on the extent and duration of the run."""
    names = ", ".join(ablation.name for ablation in outcome.ablations)
    now = outcome.trainings - outcome.done_before
    return (
        f"{names}: {plural(outcome.trainings, 'training')}, {plural(outcome.settings.seeds, 'seed')} for each row, "
        f"{count(outcome.steps)} steps, {duration(outcome.seconds)}; {now} trainings run now, "
        f"{outcome.done_before} before."
    )


def headline(row: RowOutcome) -> str:
    """Return a row's name and Recall@10 for the terminal."""
    spread = row.metrics.get(RANGED_METRIC)
    if spread is None:
        return row.label
    low, high = (percent(value) for value in spread.range)
    return f"{row.label}: {RANGED_METRIC} {format_values(spread)} ({low} to {high})"
