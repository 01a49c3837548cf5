"""What a row scored in one metric, over its seeds, and which row is best."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from likebut.evaluation.metrics import HARD_NEGATIVE_RATE, higher_is_better
from likebut.research.reports.contents import DemoContents, GroundingResult, RowResult
from likebut.research.reports.wording import interval, numeral, ordinal, percent, plural

METRICS = ("Recall@1", "Recall@5", "Recall@10", "Recall_subset@1", "mAP@10", HARD_NEGATIVE_RATE)


@dataclass(frozen=True)
class Score:
    """A metric's figures, in percent.

    Attributes:
        seeds: The value of each seed.
        low: Lower end of the 95 % bootstrap interval over queries, the mean over seeds.
        high: Its upper end.
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
        """The mean as the page shows it: what looks equal there is a tie."""
        return round(self.value, 1)

    def overlaps(self, other: "Score") -> bool:
        """Return whether the two intervals have a point in common."""
        return self.low <= other.high and other.low <= self.high


def score_of(row: RowResult, metric: str) -> Score | None:
    """Return what ``row`` scored, or None if a seed lacks the metric."""
    if not row.metrics or any(metric not in figures for figures in row.metrics):
        return None
    return Score(
        seeds=tuple(figures[metric] for figures in row.metrics),
        low=fmean(intervals[metric][0] for intervals in row.intervals),
        high=fmean(intervals[metric][1] for intervals in row.intervals),
    )


def shown_metrics(rows: Sequence[RowResult]) -> list[str]:
    """Return those of :data:`METRICS` that at least one row has."""
    return [metric for metric in METRICS if any(score_of(row, metric) is not None for row in rows)]


def ranking(rows: Sequence[RowResult], metric: str) -> list[tuple[RowResult, Score]]:
    """Return the rows that have ``metric`` with their scores, best first; ties keep the table's order."""
    scored = [(row, score) for row in rows if (score := score_of(row, metric)) is not None]
    return sorted(scored, key=lambda pair: pair[1].shown, reverse=higher_is_better(metric))


DECIDING_METRIC = "Recall@1"
_FURTHER_METRIC = "Recall@10"


def summarise(contents: DemoContents) -> str:
    """Return a paragraph of plain English on what the demo found."""
    placed = ranking(contents.rows, DECIDING_METRIC)
    if not placed:
        return f"No row has {DECIDING_METRIC}, so nothing is compared."
    sentences = [_winner_sentence(contents, placed)]
    if len(placed) > 1 and placed[0][1].shown != placed[1][1].shown:
        sentences.append(_chance_sentence(placed[0][1], placed[1][1]))
    sentences += _paper_sentence(placed)
    sentences += _further_sentence(placed)
    if contents.grounding is not None:
        sentences.append(_grounding_sentence(contents.grounding))
    return " ".join(sentences)


def _winner_sentence(contents: DemoContents, placed: list[tuple[RowResult, Score]]) -> str:
    row, score = placed[0]
    asked = f"Asked {plural(contents.queries, 'test query', 'test queries')} over {plural(contents.gallery, 'image')}"
    finding = f"the right image first for {_figures(score, DECIDING_METRIC)}"
    if len(placed) == 1:
        return f"{asked}, {_name(row)} puts {finding}."
    tied = [_name(other) for other, rival in placed if rival.shown == score.shown]
    if len(tied) > 1:
        return f"{asked}, {', '.join(tied[:-1])} and {tied[-1]} tie: each puts {finding}."
    second, runner_up = placed[1]
    lead = percent(score.shown - runner_up.shown)
    return (
        f"{asked}, {_name(row)} puts {finding}, {lead} points more than the next best, "
        f"{_name(second)}: {_figures(runner_up)}."
    )


def _chance_sentence(first: Score, second: Score) -> str:
    if first.overlaps(second):
        return "Their intervals overlap, so the order of the two could be chance."
    return "Their intervals do not overlap."


def _paper_sentence(placed: list[tuple[RowResult, Score]]) -> list[str]:
    """Say where the paper's row came out, if it is there and does not win."""
    best = placed[0][1]
    for position, (row, score) in enumerate(placed, start=1):
        if row.is_paper and score.shown < best.shown:
            behind = percent(best.shown - score.shown)
            chance = "; the intervals overlap" if score.overlaps(best) else ""
            return [
                f"The paper's row does not win: {_name(row, with_role=False)} comes {ordinal(position)} of "
                f"{numeral(len(placed))} with {_figures(score)}, {behind} points behind the best{chance}."
            ]
    return []


def _further_sentence(placed: list[tuple[RowResult, Score]]) -> list[str]:
    row, _ = placed[0]
    score = score_of(row, _FURTHER_METRIC)
    if score is None:
        return []
    return [
        f"{_name(row, with_role=False)} has the right image among its first ten results for "
        f"{_figures(score, _FURTHER_METRIC)}."
    ]


def _grounding_sentence(grounding: GroundingResult) -> str:
    ratio = f", {grounding.f1 / grounding.blind_f1:.1f} times a blind generator's" if grounding.blind_f1 > 0 else ""
    return (
        f"What the generator wrote about {plural(grounding.pairs, 'held-out pair')} names the true changes with "
        f"an F1 of {percent(grounding.f1)} %{ratio}."
    )


def _name(row: RowResult, with_role: bool = True) -> str:
    return f"“{row.name}” (the paper's method)" if row.is_paper and with_role else f"“{row.name}”"


def _figures(score: Score, metric: str | None = None) -> str:
    details = [metric] if metric else []
    if score.spread is not None:
        details.append(f"mean of {len(score.seeds)} seeds ± {percent(score.spread)}")
    details.append(f"95 % interval {interval(score.low, score.high)}")
    return f"{percent(score.value)} % ({'; '.join(details)})"
