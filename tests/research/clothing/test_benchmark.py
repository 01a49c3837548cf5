import json
from pathlib import Path

import pytest

from helpers.fakes import KnownModel, RandomModel
from likebut.errors import InputError
from likebut.evaluation.evaluator import evaluate
from likebut.evaluation.ranking_files import ranking_content
from likebut.evaluation.score import score
from likebut.research.clothing.annotations import load_photographs
from likebut.research.clothing.attributes import attributes_of
from likebut.research.clothing.benchmark import load_clothing


def test_written_queries_are_both_directions_of_each_pair_over_the_whole_split(tmp_path: Path) -> None:
    pairs, derived = load_clothing(tmp_path, "val")
    assert (len(pairs.queries), len(pairs.gallery)) == (432, 486)
    assert pairs.part == "" and derived.part == "attributes"
    for query in pairs.queries:
        assert query.excluded == (query.reference,) and query.targets == (query.target,)
        assert len(query.subset) == 5 and query.target in query.subset
    [training] = load_clothing(tmp_path, "train", "pairs")
    assert (len(training.queries), len(training.gallery)) == (1920, 3864)


def test_attribute_queries_have_every_photograph_that_fits(tmp_path: Path) -> None:
    [derived] = load_clothing(tmp_path, "val", "attributes")
    looks = {name: attributes_of(load_photographs()[name]) for name in derived.gallery}
    fitting = ("type", "colour", "pattern", "sleeves")
    assert len(derived.queries) > 400
    for query in derived.queries:
        wanted = [looks[query.target].get(name) for name in fitting]
        alike = {name for name, values in looks.items() if [values.get(each) for each in fitting] == wanted}
        assert set(query.targets) == alike and len(alike) >= 2 and query.reference not in alike
        changed = sum(a != looks[query.reference].get(name) for a, name in zip(wanted, fitting, strict=True))
        assert 1 <= changed <= 2


def test_attribute_queries_are_deterministic(tmp_path: Path) -> None:
    first, second = (load_clothing(tmp_path, "val", "attributes")[0].queries for _ in range(2))
    assert first == second


def test_the_two_parts_share_no_metric_and_the_counts_are_those_of_the_written_texts(tmp_path: Path) -> None:
    model = RandomModel()
    report, ranked = evaluate(load_clothing(tmp_path, "val"), model.embed_gallery, model.embed_queries)
    recalls = {f"Recall@{k}" for k in (1, 5, 10, 50)} | {f"Recall_subset@{k}" for k in (1, 2, 3)}
    assert set(report.metrics) == recalls | {"attributes mAP@10"}
    about = report.to_json()
    assert about["queries"] == 432 and about["gallery"] == 486
    assert about["parts"]["attributes"]["gallery"] == 486
    assert len(report.notes) >= 2
    written = ranking_content([each.benchmark for each in ranked], [each.rankings.gallery for each in ranked])
    assert len(written) == 433 and len(written["attributes"]) == about["parts"]["attributes"]["queries"]


def test_a_perfect_model_retrieves_everything(tmp_path: Path) -> None:
    [pairs] = load_clothing(tmp_path, "val", "pairs")
    model = KnownModel({query.id: {query.target: 1.0, query.reference: 2.0} for query in pairs.queries})
    report, _ = evaluate([pairs], model.embed_gallery, model.embed_queries)
    assert report.metrics["Recall@1"] == report.metrics["Recall_subset@1"] == 100.0


def test_missing_photographs_and_invalid_choices_are_named(tmp_path: Path) -> None:
    benchmark = load_clothing(tmp_path, "val", "pairs")[0]
    assert len(benchmark.missing_images()) == 486
    for arguments in (("test", "pairs"), ("val", "both")):
        with pytest.raises(InputError, match="clothing"):
            load_clothing(tmp_path, *arguments)
    with pytest.raises(InputError) as error:
        load_clothing(tmp_path / "none", "val")
    assert error.value.code == "missing-folder"
    with pytest.raises(InputError, match="clothing"):
        score("clothing", tmp_path, "val", tmp_path / "x.json")


def test_json_report_is_serialisable(tmp_path: Path) -> None:
    model = RandomModel()
    report, _ = evaluate(load_clothing(tmp_path, "val", "attributes"), model.embed_gallery, model.embed_queries)
    assert json.loads(json.dumps(report.to_json()))["protocol"] == "attributes"
