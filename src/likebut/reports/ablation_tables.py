"""The ablations as Markdown: a table for each, and the page that shows tables and figures together."""

from collections.abc import Sequence

from likebut.ablations.results import AblationOutcome, Outcome, RowOutcome
from likebut.reports.ablation_figures import figure_of, spread_note
from likebut.reports.wording import count, duration, interval, percent, plural

TABLE_METRICS = ("Recall@1", "Recall@5", "Recall@10", "Recall@50", "Recall_subset@1")
RANGED_METRIC = "Recall@10"


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
        *(figure_of(row.metrics[name]) for name in metrics),
        *(interval(*row.metrics[name].range) for name in ranged),
        count(row.synthetic),
        count(row.human),
        f"{count(row.pretraining_steps)} + {count(tuning)} = {count(row.steps)}",
    ]


def markdown_page(outcome: Outcome) -> str:
    """Return the page: what was run, then each ablation's question, figure and table."""
    settings, data = outcome.settings, outcome.data
    parts = [
        "# Ablations\n",
        f"{summary_line(outcome)}\n",
        f"Measured on the split {data['split']}: {plural(data['queries'], 'query', 'queries')} over a gallery of "
        f"{count(data['gallery'])} pictures, the reference no candidate. Preset {settings.preset}, generator "
        f"{settings.generator}, start {settings.init or 'the preset itself'}. Figures are percentages: mean ± standard "
        "deviation over seeds. Steps are those on synthetic triplets + those on human ones = all; human triplets are "
        "read in both directions.\n",
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


def summary_line(outcome: Outcome) -> str:
    """Return one line on what was run and how long it took."""
    names = ", ".join(ablation.name for ablation in outcome.ablations)
    now = outcome.trainings - outcome.done_before
    return (
        f"{names}: {plural(outcome.trainings, 'training')}, {plural(outcome.settings.seeds, 'seed')} a row, "
        f"{count(outcome.steps)} steps in all, {duration(outcome.seconds)}; {now} of them done now, "
        f"{outcome.done_before} before."
    )


def headline(row: RowOutcome) -> str:
    """Return a row's name and Recall@10 for a terminal."""
    spread = row.metrics.get(RANGED_METRIC)
    if spread is None:
        return row.label
    low, high = (percent(value) for value in spread.range)
    return f"{row.label}: {RANGED_METRIC} {figure_of(spread)} ({low} to {high})"
