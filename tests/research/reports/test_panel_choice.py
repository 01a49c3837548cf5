from pathlib import Path

import pytest

from likebut.data.triplets import ImageRef, Query
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.folder import PLAN
from likebut.evaluation.evaluator import RankedBenchmark, Rankings
from likebut.research.reports.panels import choose_panels

NAMES = [f"{number:02d}.png" for number in range(30)]


def ranked(*ranks: int | None) -> RankedBenchmark:
    """Return one query for each rank of its target; None for a query without a usable reference."""
    queries = [Query(str(n), f"r{n}.png", f"text {n}", f"t{n}.png", (f"t{n}.png",)) for n in range(len(ranks))]
    rankings = []
    for number, rank in enumerate(ranks):
        names = list(NAMES)
        if rank is not None:
            names.insert(rank - 1, f"t{number}.png")
        rankings.append([] if rank is None else names)
    named = [*NAMES, *(name for query in queries for name in (query.reference, query.target))]
    images = {name: ImageRef(name, Path(name)) for name in named}
    benchmark = Benchmark("folder", "val", "folder", list(images), queries, images, PLAN)
    return RankedBenchmark(benchmark, Rankings(rankings, [[] for _ in queries]), [])


def test_found_panels_have_rank_one_and_missed_ones_a_rank_below_ten() -> None:
    chosen = choose_panels([ranked(1, 2, 10, 11, 1, 25, None)], found=4, missed=4, seed=0)
    texts = [panel.modification for panel in chosen.panels]
    assert texts == ["text 0", "text 4", "text 3", "text 5"]
    assert [panel.first_right for panel in chosen.panels] == [1, 1, 11, 25]
    assert [[hit.right for hit in panel.hits] for panel in chosen.panels[:1]] == [[True, False, False, False, False]]
    assert chosen.panels[0].reference == Path("r0.png") and chosen.panels[0].hits[0].path == Path("t0.png")
    assert all(value in chosen.rule for value in ("6 queries", "2 of the 2", "rank 10", "seed 0"))


def test_the_seed_determines_the_sample() -> None:
    many = [ranked(*([1] * 40))]
    samples = [[p.modification for p in choose_panels(many, 3, 0, seed).panels] for seed in (0, 0, 1)]
    assert samples[0] == samples[1] != samples[2] and len(set(samples[0])) == 3


def test_the_parts_of_a_benchmark_are_sampled_together() -> None:
    chosen = choose_panels([ranked(1, 20), ranked(20, 20)], found=0, missed=9, seed=0)
    assert len(chosen.panels) == 3 and "3 of the 3" in chosen.rule


def test_no_query_of_the_kind_is_an_error() -> None:
    with pytest.raises(InputError) as error:
        choose_panels([ranked(1)], found=0, missed=4, seed=0)
    assert error.value.code == "no-panels"
