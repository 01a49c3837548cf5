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
        # The subset is ranked as in the gallery.
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


def test_nothing_is_written_if_a_file_violates_a_limit(
    cirr: RankedBenchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likebut.evaluation.submission.MAX_BYTES", 3000)
    with pytest.raises(InputError) as error:
        write_submission(cirr, tmp_path / "out")
    assert error.value.code == "too-large"
    assert "3000" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_ranking_that_lists_the_reference_is_refused(cirr: RankedBenchmark) -> None:
    lists = [list(names) for names in cirr.rankings.gallery]
    lists[0][-1] = cirr.benchmark.queries[0].reference
    with pytest.raises(InputError) as error:
        build_submission(RankedBenchmark(cirr.benchmark, Rankings(lists, cirr.rankings.subset), []))
    assert error.value.code == "reference-ranked"


def test_a_query_without_a_usable_reference_is_padded_in_gallery_order(cirr: RankedBenchmark) -> None:
    lists = [[], *cirr.rankings.gallery[1:]]
    files = build_submission(RankedBenchmark(cirr.benchmark, Rankings(lists, cirr.rankings.subset), []))
    query = cirr.benchmark.queries[0]
    rest = [name for name in cirr.benchmark.gallery if name not in query.excluded]
    assert json.loads(files["cirr_test1_recall.json"])[query.id] == rest[:50]


def list_one_more(content: dict[str, Any], gallery: list[str]) -> None:
    unlisted = (name for name in gallery if name not in content["100"] and name != "test1-0-0-img0")
    content["100"].append(next(unlisted))


@pytest.mark.parametrize(
    ("name", "edit", "code", "value"),
    [
        ("recall", list_one_more, "too-many-images", "query 100 lists 51"),
        ("recall", lambda content, _: content["100"].pop(), "too-few-images", "lists 49"),
        ("recall", lambda content, _: content.pop("version"), "wrong-version", "None"),
        ("recall_subset", lambda content, _: content["100"].pop(), "too-few-images", "lists 2"),
        ("recall_subset", lambda content, _: content.update(metric="subset"), "wrong-metric", "'subset'"),
    ],
)
def test_errors_in_a_file_are_named(
    cirr: RankedBenchmark, tmp_path: Path, name: str, edit: Any, code: str, value: str
) -> None:
    write_submission(cirr, tmp_path / "out")
    path = tmp_path / "out" / f"cirr_test1_{name}.json"
    content = json.loads(path.read_text())
    edit(content, cirr.benchmark.gallery)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        check_file(cirr.benchmark, path)
    assert error.value.code == code
    assert value in error.value.problem
    assert str(path) in error.value.problem
