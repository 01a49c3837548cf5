from pathlib import Path

import pytest

from likebut.data.triplets import ImageRef, Query
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.folder import PLAN
from likebut.evaluation.evaluator import RankedBenchmark, Rankings
from likebut.research.reports.panels import choose_panels

NAMES = [f"{number:02d}.png" for number in range(30)]


def ranked(*places: int | None) -> RankedBenchmark:
    """Return one query for each place that its target has; None for a query that could not be asked."""
    queries = [Query(str(n), f"r{n}.png", f"text {n}", f"t{n}.png", (f"t{n}.png",)) for n in range(len(places))]
    rankings = []
    for number, place in enumerate(places):
        names = list(NAMES)
        if place is not None:
            names.insert(place - 1, f"t{number}.png")
        rankings.append([] if place is None else names)
    named = [*NAMES, *(name for query in queries for name in (query.reference, query.target))]
    images = {name: ImageRef(name, Path(name)) for name in named}
    benchmark = Benchmark("folder", "val", "folder", list(images), queries, images, PLAN)
    return RankedBenchmark(benchmark, Rankings(rankings, [[] for _ in queries]), [])


def test_found_are_first_and_missed_beyond_ten() -> None:
    chosen = choose_panels([ranked(1, 2, 10, 11, 1, 25, None)], found=4, missed=4, seed=0)
    texts = [panel.modification for panel in chosen.panels]
    assert texts == ["text 0", "text 4", "text 3", "text 5"]
    assert [panel.first_right for panel in chosen.panels] == [1, 1, 11, 25]
    assert [[hit.right for hit in panel.hits] for panel in chosen.panels[:1]] == [[True, False, False, False, False]]
    assert chosen.panels[0].reference == Path("r0.png") and chosen.panels[0].hits[0].path == Path("t0.png")
    assert chosen.rule == (
        "Of 6 queries: 2 drawn by lot among the 2 whose target is in first place, "
        "then 2 drawn by lot among the 2 whose target is beyond place 10 (seed 0)."
    )


def test_the_lot_is_the_seeds() -> None:
    many = [ranked(*([1] * 40))]
    draws = [[p.modification for p in choose_panels(many, 3, 0, seed).panels] for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2] and len(set(draws[0])) == 3


def test_a_benchmarks_parts_are_drawn_from_together() -> None:
    chosen = choose_panels([ranked(1, 20), ranked(20, 20)], found=0, missed=9, seed=0)
    assert len(chosen.panels) == 3 and "3 drawn by lot among the 3" in chosen.rule


def test_none_to_draw() -> None:
    with pytest.raises(InputError, match="1 were found and 0 missed"):
        choose_panels([ranked(1)], found=0, missed=4, seed=0)
