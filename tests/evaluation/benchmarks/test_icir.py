import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.command import Command
from helpers.fakes import KnownModel, RandomModel
from helpers.official_galleries import ICIR_TEXTS, write_icir
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.icir import LICENCE_NOTE, load_icir
from likebut.evaluation.evaluator import RankedBenchmark, evaluate
from likebut.evaluation.metrics import MACRO_MAP, MICRO_MAP, RankedTarget, trapezoidal_average_precision
from likebut.evaluation.ranking_files import ranking_content
from likebut.evaluation.score import score


def area_under_the_curve(relevance: list[bool]) -> float:
    """The trapezoids below the precision–recall points of a ranking, one step of recall at a time."""
    points = [(0.0, 1.0)]
    for rank in range(1, len(relevance) + 1):
        found = sum(relevance[:rank])
        if relevance[rank - 1]:
            before = 1.0 if rank == 1 else (found - 1) / (rank - 1)
            points += [((found - 1) / sum(relevance), before), (found / sum(relevance), found / rank)]
    recalls, precisions = zip(*points, strict=True)
    return float(
        sum((b - a) * (p + q) / 2 for a, b, p, q in zip(recalls, recalls[1:], precisions, precisions[1:], strict=False))
    )


@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any))
def test_average_precision_is_the_area_below_the_curve(relevance: list[bool]) -> None:
    ranked = [RankedTarget(rank) for rank, hit in enumerate(relevance, start=1) if hit]
    found = trapezoidal_average_precision(ranked, len(ranked))
    assert found == pytest.approx(area_under_the_curve(relevance))
    assert 0 < found <= 1
    assert trapezoidal_average_precision(ranked, 2 * len(ranked)) == pytest.approx(found / 2)


def test_average_precision_worked_out_by_hand() -> None:
    # Rank 1: (1 + 1) / 2. Rank 4: precision 1/3 before it and 2/4 at it, mean 5/12. Then (1 + 5/12) / 2 = 17/24.
    assert trapezoidal_average_precision([RankedTarget(1), RankedTarget(4)], 2) == pytest.approx(17 / 24)
    assert trapezoidal_average_precision([], 3) == trapezoidal_average_precision([], 0) == 0.0


def test_a_query_ranks_the_database_of_its_instance(tmp_path: Path) -> None:
    [benchmark] = load_icir(write_icir(tmp_path))
    assert (benchmark.title, len(benchmark.queries), len(benchmark.gallery)) == ("icir test", 12, 30)
    query = benchmark.queries[5]
    assert (query.id, query.modification) == ("5", ICIR_TEXTS[1])
    assert query.reference == "query/thing_1/thing_1_image_query0.jpg"
    assert query.targets == ("database/thing_1/in_red/pos0.jpg", "database/thing_1/in_red/pos1.jpg")
    candidates = benchmark.candidates_of(query)
    assert len(candidates) == 10 and all(name.startswith("database/thing_1/") for name in candidates)
    assert benchmark.candidates["4"] is benchmark.candidates["5"]  # no copy for each query
    assert benchmark.groups["5"] == "thing_1"
    assert benchmark.missing_images() == []
    assert benchmark.notes[0] == LICENCE_NOTE and "CC BY-NC-SA" in LICENCE_NOTE
    assert [note.split()[2:4] for note in benchmark.notes[1:]] == [
        ["12", "queries"],
        ["3", "instances"],
        ["30", "database"],
    ]


@pytest.mark.parametrize(
    ("folder", "options"),
    [("", {"annotations": "annotations"}), ("icir", {"prefix": "icir/"}), ("renamed", {"prefix": "icir/"})],
)
def test_images_are_found_in_each_layout(tmp_path: Path, folder: str, options: dict[str, str]) -> None:
    [benchmark] = load_icir(write_icir(tmp_path / folder, **options))
    assert benchmark.missing_images() == []


def test_a_header_is_no_query(tmp_path: Path) -> None:
    path = write_icir(tmp_path) / "query_files.csv"
    path.write_text("image,text,instance\n" + path.read_text())
    assert len(load_icir(tmp_path)[0].queries) == 12


def test_a_query_without_targets_counts_0_and_is_noted(tmp_path: Path) -> None:
    path = write_icir(tmp_path, instances=1) / "query_files.csv"
    path.write_text(path.read_text().replace("in red", "in pink"))
    [benchmark] = load_icir(tmp_path)
    assert any(note.startswith("2 of 4 queries") for note in benchmark.notes)
    model = RandomModel()
    report, _ = evaluate([benchmark], model.embed_gallery, model.embed_queries)
    assert report.metrics[MICRO_MAP] <= 50


@pytest.mark.parametrize(
    ("name", "content", "code", "named"),
    [
        ("query_files.csv", None, "missing-annotations", "query_files.csv"),
        ("database_files.csv", "", "invalid-annotations", "database_files.csv"),
        ("query_files.csv", "a.jpg,in blue\n", "invalid-annotations", "line 1"),
        ("query_files.csv", "a.jpg,in blue,unknown\n", "instance-without-database", '"unknown"'),
    ],
)
def test_missing_and_invalid_files_are_named(
    tmp_path: Path, name: str, content: str | None, code: str, named: str
) -> None:
    path = write_icir(tmp_path, images=False) / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InputError) as error:
        load_icir(tmp_path)
    assert error.value.code == code and named in str(error.value)


def test_macro_and_micro_map_worked_out_by_hand(tmp_path: Path) -> None:
    [benchmark] = load_icir(write_icir(tmp_path, instances=2, images=False))
    # Three of the four queries of thing_1 are left out: 4 queries of thing_0, 1 of thing_1.
    benchmark = Benchmark(**{**vars(benchmark), "queries": benchmark.queries[:5]})
    first = dict.fromkeys(["0", "1", "2", "3"], {})
    best = {query.id: {name: 1.0 for name in query.targets} for query in benchmark.queries[:4]}
    # thing_1: both targets behind all 8 others, ranks 9 and 10: ((0 + 1/9) / 2 + (1/9 + 2/10) / 2) / 2.
    last = {name: 1.0 for name in benchmark.candidates["4"] if name not in benchmark.queries[4].targets}
    model = KnownModel(first | best | {"4": last})
    report, _ = evaluate([benchmark], model.embed_gallery, model.embed_queries)
    worst = ((0 + 1 / 9) / 2 + (1 / 9 + 2 / 10) / 2) / 2
    assert list(report.metrics) == [MACRO_MAP, MICRO_MAP]
    assert report.metrics[MICRO_MAP] == pytest.approx(100 * (4 + worst) / 5)
    assert report.metrics[MACRO_MAP] == pytest.approx(100 * (1 + worst) / 2)


def test_evaluation_agrees_with_a_naive_ranking_of_each_database(tmp_path: Path) -> None:
    [benchmark] = load_icir(write_icir(tmp_path, images=False))
    model = RandomModel()
    report, [ranked] = evaluate([benchmark], model.embed_gallery, model.embed_queries)
    by_instance: dict[str, list[float]] = {}
    for query in benchmark.queries:
        names = benchmark.candidates_of(query)
        images = model.embed_gallery([benchmark.images[name] for name in names]).astype(np.float16).astype(np.float64)
        scores = (images @ model.embed_queries([query])[0].astype(np.float64)).max(axis=1)
        relevance = [names[index] in query.targets for index in np.argsort(-scores)]
        by_instance.setdefault(benchmark.groups[query.id], []).append(area_under_the_curve(relevance))
    assert report.metrics[MACRO_MAP] == pytest.approx(
        100 * np.mean([np.mean(values) for values in by_instance.values()])
    )
    assert report.metrics[MICRO_MAP] == pytest.approx(100 * np.mean([v for vs in by_instance.values() for v in vs]))
    assert [len(names) for names in ranked.rankings.gallery] == [10] * 12  # complete
    assert_scored_alike(tmp_path, ranked, report.metrics)


def assert_scored_alike(root: Path, ranked: RankedBenchmark, metrics: object) -> None:
    path = root / "rankings.json"
    path.write_text(json.dumps(ranking_content([ranked.benchmark], [ranked.rankings.gallery])))
    scored = score("icir", root, "test", path)
    assert scored.metrics == pytest.approx(metrics)
    assert scored.query_template is None


def test_scoring_refuses_incomplete_rankings_and_other_instances(tmp_path: Path) -> None:
    [benchmark] = load_icir(write_icir(tmp_path, images=False))
    complete = {query.id: list(benchmark.candidates_of(query)) for query in benchmark.queries}
    path = tmp_path / "rankings.json"
    for query, names, code in [
        ("3", complete["3"][:9], "too-few-images"),
        ("3", complete["4"], "not-a-candidate"),
    ]:
        path.write_text(json.dumps(complete | {query: names}))
        with pytest.raises(InputError) as error:
            score("icir", tmp_path, "test", path)
        assert error.value.code == code and "query 3" in str(error.value)


def test_the_command_evaluates_and_scores(colour_command: Command, tmp_path: Path) -> None:
    root, rankings = write_icir(tmp_path / "icir"), tmp_path / "rankings.json"
    options = ["--benchmark", "icir", "--root", root, "--model", "m", "--rankings", rankings, "--json"]
    evaluated = json.loads(colour_command("evaluate", *options).out)
    assert (evaluated["queries"], evaluated["split"], evaluated["query_template"]) == (12, "test", "modification")
    assert LICENCE_NOTE in evaluated["notes"]
    scored = json.loads(
        colour_command("score", "icir", "test", "--root", root, "--predictions", rankings, "--json").out
    )
    for metric in (MACRO_MAP, MICRO_MAP):
        assert 0 < evaluated[metric] <= scored[metric] + 1e-9  # a list cannot say that images tie
    uncached = json.loads(colour_command("evaluate", *options, "--no-cache").out)
    assert uncached[MACRO_MAP] == pytest.approx(evaluated[MACRO_MAP], abs=1.0)


def test_missing_images_are_listed(colour_command: Command, tmp_path: Path) -> None:
    root = write_icir(tmp_path)
    (root / "database" / "thing_0" / "hn" / "hn0.jpg").unlink()
    result = colour_command("evaluate", "--benchmark", "icir", "--root", root, "--model", "m")
    assert result.code == 2 and "1 of the 36 images" in result.err and "hn0.jpg" in result.err


def test_csv_cells_may_be_quoted(tmp_path: Path) -> None:
    path = write_icir(tmp_path, instances=1, images=False)
    for name in ("query_files.csv", "database_files.csv"):
        rows = list(csv.reader((path / name).open()))
        with (path / name).open("w", newline="") as handle:
            csv.writer(handle).writerows([(image, text.replace("in ", "now, in "), one) for image, text, one in rows])
    [benchmark] = load_icir(path)
    assert benchmark.queries[0].modification == "now, in blue"
    assert all(query.targets for query in benchmark.queries)
