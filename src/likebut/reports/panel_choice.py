"""Choosing retrieval panels by a rule that can be stated: some that were found, some that were missed, by lot."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from random import Random

from likebut.benchmarks.evaluation import RankedBenchmark
from likebut.errors import InputError
from likebut.reports.contents import Hit, Panel
from likebut.reports.wording import count, plural

MISSED_BEYOND = 10
_HITS = 5


@dataclass(frozen=True)
class ChosenPanels:
    """Panels, those that were found first.

    Attributes:
        rule: How they were chosen, in sentences.
    """

    panels: list[Panel]
    rule: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query that could be asked, and the first place of a right image; None beyond the ranking's end."""

    ranked: RankedBenchmark
    position: int
    place: int | None


def choose_panels(ranked: Sequence[RankedBenchmark], found: int, missed: int, seed: int) -> ChosenPanels:
    """Return panels drawn by lot among queries that were found and among those that were missed.

    Found is a query with a right image in first place; missed is one whose right images all lie beyond place 10.
    Where there are fewer of a kind than are asked for, all of them are taken. A panel's results have no scores.

    Args:
        ranked: The benchmark, or its parts, with their rankings.
        found: How many panels of queries that were found.
        missed: How many of queries that were missed.
        seed: Of the lot.

    Raises:
        InputError: There is no query to draw.
    """
    asked = [query for part in ranked for query in _asked(part)]
    good = [query for query in asked if query.place == 1]
    bad = [query for query in asked if query.place is None or query.place > MISSED_BEYOND]
    drawn = [_drawn(good, found, seed), _drawn(bad, missed, seed)]
    if not any(drawn):
        raise InputError(
            f"Of {plural(len(asked), 'query', 'queries')} {len(good)} were found and {len(bad)} missed: "
            "none is left to draw.",
            "Ask for the other kind with --found or --missed.",
        )
    return ChosenPanels([_panel(query) for part in drawn for query in part], _rule(drawn, good, bad, len(asked), seed))


def _asked(ranked: RankedBenchmark) -> list[_Asked]:
    queries = zip(ranked.benchmark.queries, ranked.rankings.gallery, strict=True)
    return [
        _Asked(ranked, position, next((place for place, name in enumerate(names, 1) if name in query.targets), None))
        for position, (query, names) in enumerate(queries)
        if names
    ]


def _drawn(queries: list[_Asked], wanted: int, seed: int) -> list[_Asked]:
    chosen = Random(seed).sample(range(len(queries)), min(wanted, len(queries)))
    return [queries[position] for position in sorted(chosen)]


def _panel(query: _Asked) -> Panel:
    benchmark = query.ranked.benchmark
    asked, names = benchmark.queries[query.position], query.ranked.rankings.gallery[query.position]
    return Panel(
        reference=benchmark.images[asked.reference].path,
        modification=asked.modification,
        hits=[Hit(benchmark.images[name].path, nan, name in asked.targets) for name in names[:_HITS]],
        first_right=query.place,
        depth=len(names),
    )


def _rule(drawn: Sequence[list[_Asked]], good: list[_Asked], bad: list[_Asked], asked: int, seed: int) -> str:
    kinds = [
        (len(drawn[0]), len(good), "whose target is in first place"),
        (len(drawn[1]), len(bad), f"whose target is beyond place {MISSED_BEYOND}"),
    ]
    parts = [f"{shown} drawn by lot among the {count(of)} {which}" for shown, of, which in kinds if shown]
    return f"Of {plural(asked, 'query', 'queries')}: {', then '.join(parts)} (seed {seed})."
