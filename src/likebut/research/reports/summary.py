"""A row's score in one metric over its seeds, the ranking of the rows, and a summary in plain English."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from likebut.evaluation.metrics import HARD_NEGATIVE_RATE, higher_is_better
from likebut.research.reports.contents import DemoContents, GroundingResult, RowResult
from likebut.research.reports.wording import interval, numeral, ordinal, percent, plural

METRICS = ("Recall@1", "Recall@5", "Recall@10", "Recall_subset@1", "mAP@10", HARD_NEGATIVE_RATE)
DECIDING_METRIC = "Recall@1"

_FURTHER_METRIC = "Recall@10"


@dataclass(frozen=True)
class Score:
    """The value of a metric in percent, over seeds.

    Attributes:
        seeds: The value of each seed.
        low: Lower end of the 95 % bootstrap interval over queries; the mean over seeds.
        high: Upper end; the mean over seeds.
    """

    seeds: tuple[float, ...]
    low: float
    high: float

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return fmean(self.seeds)

    @property
    def spread(self) -> float | None:
        """The sample standard deviation over seeds; None with one seed."""
        return stdev(self.seeds) if len(self.seeds) > 1 else None

    @property
    def shown(self) -> float:
        """The mean rounded as on the page: equal values are a tie."""
        return round(self.value, 1)

    def overlaps(self, other: "Score") -> bool:
        """Return whether the two intervals intersect."""
        return self.low <= other.high and other.low <= self.high


def score_of(row: RowResult, metric: str) -> Score | None:
    """Return the score of ``row``, or None if a seed lacks the metric."""
    if not row.metrics or any(metric not in metrics for metrics in row.metrics):
        return None
    return Score(
        seeds=tuple(metrics[metric] for metrics in row.metrics),
        low=fmean(intervals[metric][0] for intervals in row.intervals),
        high=fmean(intervals[metric][1] for intervals in row.intervals),
    )


def shown_metrics(rows: Sequence[RowResult]) -> list[str]:
    """Return those of :data:`METRICS` that at least one row has."""
    return [metric for metric in METRICS if any(score_of(row, metric) is not None for row in rows)]


def ranking(rows: Sequence[RowResult], metric: str) -> list[tuple[RowResult, Score]]:
    """Return the rows that have ``metric`` with their scores, best first; ties in table order."""
    scored = [(row, score) for row in rows if (score := score_of(row, metric)) is not None]
    return sorted(scored, key=lambda pair: pair[1].shown, reverse=higher_is_better(metric))


def summarise(contents: DemoContents) -> str:
    """Return a paragraph that summarises the results of the demo."""
    ranked = ranking(contents.rows, DECIDING_METRIC)
    if not ranked:
        return f"No row has {DECIDING_METRIC}, so there is no comparison."
    sentences = [_winner_sentence(contents, ranked)]
    if len(ranked) > 1 and ranked[0][1].shown != ranked[1][1].shown:
        sentences.append(_significance_sentence(ranked[0][1], ranked[1][1]))
    sentences += _paper_sentence(ranked)
    sentences += _further_sentence(ranked)
    if contents.grounding is not None:
        sentences.append(_grounding_sentence(contents.grounding))
    return " ".join(sentences)


def _winner_sentence(contents: DemoContents, ranked: list[tuple[RowResult, Score]]) -> str:
    row, score = ranked[0]
    asked = f"For {plural(contents.queries, 'test query', 'test queries')} over {plural(contents.gallery, 'image')}"
    finding = f"a target first for {_format_score(score, DECIDING_METRIC)}"
    if len(ranked) == 1:
        return f"{asked}, {_name(row)} ranks {finding}."
    tied = [_name(other) for other, rival in ranked if rival.shown == score.shown]
    if len(tied) > 1:
        return f"{asked}, {', '.join(tied[:-1])} and {tied[-1]} tie: each ranks {finding}."
    second, runner_up = ranked[1]
    lead = percent(score.shown - runner_up.shown)
    return (
        f"{asked}, {_name(row)} ranks {finding}, {lead} points more than the second, "
        f"{_name(second)}: {_format_score(runner_up)}."
    )


def _significance_sentence(first: Score, second: Score) -> str:
    if first.overlaps(second):
        return "Their intervals overlap, so the difference may not be significant."
    return "Their intervals do not overlap."


def _paper_sentence(ranked: list[tuple[RowResult, Score]]) -> list[str]:
    """State the rank of the paper's row, unless it is the best."""
    best = ranked[0][1]
    for position, (row, score) in enumerate(ranked, start=1):
        if row.is_paper and score.shown < best.shown:
            behind = percent(best.shown - score.shown)
            overlap = "; the intervals overlap" if score.overlaps(best) else ""
            return [
                f"The paper's row is not the best: {_name(row, with_role=False)} is {ordinal(position)} of "
                f"{numeral(len(ranked))} with {_format_score(score)}, {behind} points behind the best{overlap}."
            ]
    return []


def _further_sentence(ranked: list[tuple[RowResult, Score]]) -> list[str]:
    row, _ = ranked[0]
    score = score_of(row, _FURTHER_METRIC)
    if score is None:
        return []
    return [
        f"{_name(row, with_role=False)} ranks a target among the first ten for {_format_score(score, _FURTHER_METRIC)}."
    ]


def _grounding_sentence(grounding: GroundingResult) -> str:
    ratio = ""
    if grounding.shuffled_f1 > 0:
        ratio = f", {grounding.f1 / grounding.shuffled_f1:.1f} times that of the shuffled-image control"
    return (
        f"The generator's texts for {plural(grounding.pairs, 'held-out pair')} name the true changes with "
        f"an F1 of {percent(grounding.f1)} %{ratio}."
    )


def _name(row: RowResult, with_role: bool = True) -> str:
    return f"“{row.name}” (the paper's method)" if row.is_paper and with_role else f"“{row.name}”"


def _format_score(score: Score, metric: str | None = None) -> str:
    details = [metric] if metric else []
    if score.spread is not None:
        details.append(f"mean of {len(score.seeds)} seeds ± {percent(score.spread)}")
    details.append(f"95 % interval {interval(score.low, score.high)}")
    return f"{percent(score.value)} % ({'; '.join(details)})"
