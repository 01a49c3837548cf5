import json
from pathlib import Path
from typing import Any

import pytest

from helpers.fakes import RandomModel
from helpers.official import write_circo, write_cirr
from likebut.errors import InputError
from likebut.evaluation.benchmarks.loading import load_benchmark
from likebut.evaluation.evaluator import RankedBenchmark, Rankings, rank
from likebut.evaluation.submission import build_submission, check_file, write_submission


@pytest.fixture
def cirr(tmp_path: Path) -> RankedBenchmark:
    [benchmark] = load_benchmark("cirr", write_cirr(tmp_path, sets=10, splits=["test1"]), "test1")
    return rank(benchmark, RandomModel().embed_gallery, RandomModel().embed_queries)


@pytest.fixture
def circo(tmp_path: Path) -> RankedBenchmark:
    [benchmark] = load_benchmark("circo", write_circo(tmp_path), "test")
    return rank(benchmark, RandomModel().embed_gallery, RandomModel().embed_queries)


def test_cirr_files(cirr: RankedBenchmark, tmp_path: Path) -> None:
    paths = write_submission(cirr, tmp_path / "out")
    assert [path.name for path in paths] == ["cirr_test1_recall.json", "cirr_test1_recall_subset.json"]
    recall, subset = (json.loads(path.read_text()) for path in paths)
    assert (recall.pop("version"), recall.pop("metric")) == ("rc2", "recall")
    assert (subset.pop("version"), subset.pop("metric")) == ("rc2", "recall_subset")
    for query in cirr.benchmark.queries:
        assert len(recall[query.id]) == 50 == len(set(recall[query.id]))
        assert query.reference not in recall[query.id]
        assert set(recall[query.id]) <= set(cirr.benchmark.gallery)
        # The subset's order is the gallery's.
        in_gallery_order = [name for name in recall[query.id] if name in query.subset]
        assert len(subset[query.id]) == 3
        assert set(subset[query.id]) <= set(query.subset)
        assert [name for name in subset[query.id] if name in in_gallery_order] == in_gallery_order[:3]
    assert set(recall) == set(subset) == {query.id for query in cirr.benchmark.queries}
    for path in paths:
        check_file(cirr.benchmark, path)


def test_circo_file(circo: RankedBenchmark, tmp_path: Path) -> None:
    [path] = write_submission(circo, tmp_path / "out")
    content = json.loads(path.read_text())
    assert list(content) == ["0", "1", "2"]
    assert all(len(ids) == 50 and all(isinstance(image, int) for image in ids) for ids in content.values())
    check_file(circo.benchmark, path)


def test_nothing_is_written_if_a_file_breaks_a_limit(
    cirr: RankedBenchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likebut.evaluation.submission.MAX_BYTES", 3000)
    with pytest.raises(InputError, match="the server takes 3000"):
        write_submission(cirr, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_ranking_that_lists_the_reference_is_refused(cirr: RankedBenchmark) -> None:
    lists = [list(names) for names in cirr.rankings.gallery]
    lists[0][-1] = cirr.benchmark.queries[0].reference
    with pytest.raises(InputError, match="lists its reference"):
        build_submission(RankedBenchmark(cirr.benchmark, Rankings(lists, cirr.rankings.subset), []))


def test_a_query_that_could_not_be_asked_is_filled_up_in_the_gallery_s_order(cirr: RankedBenchmark) -> None:
    lists = [[], *cirr.rankings.gallery[1:]]
    files = build_submission(RankedBenchmark(cirr.benchmark, Rankings(lists, cirr.rankings.subset), []))
    query = cirr.benchmark.queries[0]
    rest = [name for name in cirr.benchmark.gallery if name not in query.excluded]
    assert json.loads(files["cirr_test1_recall.json"])[query.id] == rest[:50]


def list_one_more(content: dict[str, Any], gallery: list[str]) -> None:
    unlisted = (name for name in gallery if name not in content["100"] and name != "test1-0-0-img0")
    content["100"].append(next(unlisted))


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("recall", list_one_more, "query 100 lists 51 images; the server takes 50"),
        ("recall", lambda content, _: content["100"].pop(), "49 images; 50 are due"),
        ("recall", lambda content, _: content.pop("version"), '"version" None'),
        ("recall_subset", lambda content, _: content["100"].pop(), "2 images; 3 are due"),
        ("recall_subset", lambda content, _: content.update(metric="subset"), "\"metric\" 'subset'"),
    ],
)
def test_faults_in_a_file_are_named(cirr: RankedBenchmark, tmp_path: Path, name: str, spoil: Any, message: str) -> None:
    write_submission(cirr, tmp_path / "out")
    path = tmp_path / "out" / f"cirr_test1_{name}.json"
    content = json.loads(path.read_text())
    spoil(content, cirr.benchmark.gallery)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        check_file(cirr.benchmark, path)
