"""The report's tables with formatted cells and the best value of each column marked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from likebut.evaluation.metrics import HARD_NEGATIVE_RATE, higher_is_better
from likebut.research.reports.contents import RowResult, SynthesisResult
from likebut.research.reports.summary import Score, ranking, score_of, shown_metrics
from likebut.research.reports.wording import count, duration, interval, percent

METRIC_MEANINGS = {
    "Recall@1": "fraction of queries whose target is the first result.",
    "Recall@5": "fraction of queries whose target is among the first five.",
    "Recall@10": "fraction of queries whose target is among the first ten.",
    "Recall_subset@1": "the same as Recall@1, over a small subset of similar images.",
    "mAP@10": "mean average precision of the first ten results, over all targets of a query.",
    HARD_NEGATIVE_RATE: (
        "fraction of queries in which a hard negative (such as a partial edit) outranks every target; lower is better."
    ),
}
REASON_MEANINGS = {
    "kept": "became a training triplet",
    "empty": "has no word",
    "blocked": "contains a blocked word",
    "repeated": "repeats itself",
    "copied instruction": "repeats the instruction",
    "round trip": "does not lead the retriever from the reference to the target",
    "duplicate": "was written for too many pairs",
}


@dataclass(frozen=True)
class Cell:
    """One row's value of one metric.

    Attributes:
        value: "61.3".
        spread: "± 1.2" over several seeds, else empty.
        interval: "57.0 – 65.4".
        is_best: Whether no row has a better value.
    """

    value: str
    spread: str
    interval: str
    is_best: bool


@dataclass(frozen=True)
class Column:
    """A metric: its name, its meaning and its direction."""

    name: str
    meaning: str
    lower_is_better: bool


@dataclass(frozen=True)
class ResultLine:
    """A row's cells, one for each column; None if it lacks the metric."""

    row: RowResult
    cells: list[Cell | None]


@dataclass(frozen=True)
class ResultTable:
    """The table of results.

    Attributes:
        seeds: Maximum number of seeds of a row.
    """

    columns: list[Column]
    lines: list[ResultLine]
    seeds: int


@dataclass(frozen=True)
class Fraction:
    """A fraction of a whole.

    Attributes:
        name: Its name.
        amount: The formatted amount.
        percent: Its percentage of the whole.
        meaning: An explanation; may be empty.
    """

    name: str
    amount: str
    percent: float
    meaning: str = ""


def result_table(rows: Sequence[RowResult]) -> ResultTable:
    """Return the table of the shown metrics that at least one row has."""
    metrics = shown_metrics(rows)
    best = {metric: ranking(rows, metric)[0][1].shown for metric in metrics}
    lines = [ResultLine(row, [_cell(score_of(row, metric), best[metric]) for metric in metrics]) for row in rows]
    columns = [Column(metric, METRIC_MEANINGS[metric], not higher_is_better(metric)) for metric in metrics]
    return ResultTable(columns, lines, seeds=max((len(row.metrics) for row in rows), default=0))


def _cell(score: Score | None, best: float) -> Cell | None:
    if score is None:
        return None
    spread = "" if score.spread is None else f"± {percent(score.spread)}"
    return Cell(percent(score.value), spread, interval(score.low, score.high), score.shown == best)


def synthesis_fractions(reasons: Mapping[str, int]) -> list[Fraction]:
    """Return the outcomes of the texts as fractions of all texts.

    Args:
        reasons: The counts of :class:`SynthesisResult`.
    """
    total = sum(reasons.values()) or 1
    return [
        Fraction(reason, count(number), 100 * number / total, REASON_MEANINGS.get(reason, ""))
        for reason, number in reasons.items()
    ]


def synthesis_directions(synthesis: SynthesisResult) -> list[tuple[str, list[Fraction]]]:
    """Return a caption and the fractions for each direction that was written."""
    directions = [
        ("From reference to target", synthesis.reasons),
        ("From target to reference, for the pairs kept", synthesis.reverse_reasons),
    ]
    return [(caption, synthesis_fractions(reasons)) for caption, reasons in directions if reasons]


def time_fractions(seconds: Mapping[str, float]) -> list[Fraction]:
    """Return the duration of each stage as a fraction of the whole."""
    total = sum(seconds.values()) or 1.0
    return [Fraction(stage, duration(time), 100 * time / total) for stage, time in seconds.items()]


def settings_lines(settings: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return nested settings as (dotted key, value) lines."""
    return list(_leaves(settings, ""))


def _leaves(settings: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _format(value)


def _format(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_format(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
