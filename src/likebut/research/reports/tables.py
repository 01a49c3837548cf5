"""The report's tables, ready to be laid out: every cell a text, the winners known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from likebut.evaluation.metrics import HARD_NEGATIVE_RATE, higher_is_better
from likebut.research.reports.contents import RowResult, SynthesisResult
from likebut.research.reports.summary import Score, ranking, score_of, shown_metrics
from likebut.research.reports.wording import count, duration, interval, percent

METRIC_MEANINGS = {
    "Recall@1": "share of queries whose target is the first result.",
    "Recall@5": "share of queries whose target is among the first five.",
    "Recall@10": "share of queries whose target is among the first ten.",
    "Recall_subset@1": "the same as Recall@1, ranking only a few images that look alike.",
    "mAP@10": "mean average precision of the first ten results, every right image counted where there are several.",
    HARD_NEGATIVE_RATE: (
        "share of queries in which a look-alike that is wrong (the edit half done, say) outranks every right image; "
        "lower is better."
    ),
}
REASON_MEANINGS = {
    "kept": "became a training triplet",
    "empty": "has not one word",
    "blocked": "holds a word that nobody should be shown",
    "repeated": "says the same thing over and over",
    "copied instruction": "repeats what the language model was told",
    "round trip": "does not lead the retriever from the reference to the target",
    "duplicate": "was written about too many pairs already",
}


@dataclass(frozen=True)
class Cell:
    """One row's figure in one metric.

    Attributes:
        figure: "61.3".
        spread: "± 1.2" over several seeds, else empty.
        interval: "57.0 – 65.4".
        is_best: Whether no row has a better one.
    """

    figure: str
    spread: str
    interval: str
    is_best: bool


@dataclass(frozen=True)
class Column:
    """A metric: its name, what it means, and whether the lowest figure wins."""

    name: str
    meaning: str
    lower_is_better: bool


@dataclass(frozen=True)
class ResultLine:
    """A row's cells, one for each column; None where it lacks the metric."""

    row: RowResult
    cells: list[Cell | None]


@dataclass(frozen=True)
class ResultTable:
    """The table of results.

    Attributes:
        seeds: How many trainings stand behind each figure, at most.
    """

    columns: list[Column]
    lines: list[ResultLine]
    seeds: int


@dataclass(frozen=True)
class Share:
    """A part of a whole.

    Attributes:
        name: What it is called.
        amount: How much it is, in words.
        percent: Its share of the whole.
        meaning: What it means; may be empty.
    """

    name: str
    amount: str
    percent: float
    meaning: str = ""


def result_table(rows: Sequence[RowResult]) -> ResultTable:
    """Return the table of every shown metric that at least one row has."""
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


def synthesis_shares(reasons: Mapping[str, int]) -> list[Share]:
    """Return what became of the texts, as shares of all of them.

    Args:
        reasons: How many were kept, and how many dropped for each reason (:class:`SynthesisResult`).
    """
    total = sum(reasons.values()) or 1
    return [
        Share(reason, count(number), 100 * number / total, REASON_MEANINGS.get(reason, ""))
        for reason, number in reasons.items()
    ]


def synthesis_directions(synthesis: SynthesisResult) -> list[tuple[str, list[Share]]]:
    """Return a caption and the shares for each direction that was written."""
    directions = [
        ("From reference to target", synthesis.reasons),
        ("From target to reference, for the pairs that were kept", synthesis.reverse_reasons),
    ]
    return [(caption, synthesis_shares(reasons)) for caption, reasons in directions if reasons]


def time_shares(seconds: Mapping[str, float]) -> list[Share]:
    """Return how long each stage took, as shares of the whole."""
    total = sum(seconds.values()) or 1.0
    return [Share(stage, duration(time), 100 * time / total) for stage, time in seconds.items()]


def settings_lines(settings: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return nested settings as (dotted key, value) lines."""
    return list(_leaves(settings, ""))


def _leaves(settings: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _in_words(value)


def _in_words(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_in_words(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
