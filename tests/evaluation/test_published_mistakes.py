"""Evaluation errors of published code, one test for each."""

from pathlib import Path

import numpy as np
import pytest

from helpers.colour_retriever import colour_retriever
from helpers.fakes import KnownModel, RandomModel
from helpers.official import write_cirr, write_fashioniq
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.cirr import load_cirr
from likebut.evaluation.benchmarks.fashioniq import load_fashioniq, load_fashioniq_triplets, training_text
from likebut.evaluation.embedding import OnDemandTokens, RetrieverAdapter, needed_images, uncached_tokens
from likebut.evaluation.evaluator import evaluate
from likebut.retriever.retriever import Retriever


def test_cirr_gallery_is_the_split_file_not_the_folder(tmp_path: Path) -> None:
    [benchmark] = load_cirr(write_cirr(tmp_path), "val")
    files = {path.stem for path in (tmp_path / "img_raw" / "dev").iterdir()}
    assert files - set(benchmark.gallery) == {"unlisted"}
    assert len(benchmark.gallery) == len(files) - 1


def test_cirr_gallery_is_not_the_references_alone(tmp_path: Path) -> None:
    benchmarks = load_cirr(write_cirr(tmp_path, splits=["val"]), "val")
    queries = benchmarks[0].queries
    assert "dev-900-0-img0" not in {query.reference for query in queries}
    # An image that no query names as its reference outranks every target.
    scores = {query.id: {"dev-900-0-img0": 2.0, query.target: 1.0} for query in queries}
    model = KnownModel(scores)
    report, _ = evaluate(benchmarks, model.embed_gallery, model.embed_queries)
    assert (report.metrics["Recall@1"], report.metrics["Recall@5"]) == (0, 100)
    assert report.metrics["Recall_subset@1"] == 100


def test_cirr_excludes_the_reference_from_the_ranking(tmp_path: Path) -> None:
    benchmarks = load_cirr(write_cirr(tmp_path, splits=["val"]), "val")
    scores = {query.id: {query.reference: 2.0, query.target: 1.0} for query in benchmarks[0].queries}
    model = KnownModel(scores)
    report, [ranked] = evaluate(benchmarks, model.embed_gallery, model.embed_queries)
    assert report.metrics["Recall@1"] == 100
    for query, names in zip(benchmarks[0].queries, ranked.rankings.gallery, strict=True):
        assert query.reference not in names


def test_fashioniq_keeps_the_reference_by_default(tmp_path: Path) -> None:
    write_fashioniq(tmp_path)
    for protocol, expected in (("original", 2), ("original-without-reference", 1)):
        benchmarks = load_fashioniq(tmp_path, "val", protocol, ["dress"])
        query = benchmarks[0].queries[0]
        scores = {each.id: {each.reference: 2.0, each.target: 1.0} for each in benchmarks[0].queries}
        model = KnownModel(scores)
        _, [ranked] = evaluate(benchmarks, model.embed_gallery, model.embed_queries)
        assert ranked.rankings.gallery[0].index(query.target) + 1 == expected


def test_captions_are_not_split_at_the_word_and(tmp_path: Path) -> None:
    write_fashioniq(tmp_path)
    [dress, *_] = load_fashioniq(tmp_path, "val")
    assert dress.queries[0].modification == "is red with a hand-made band and Has a circle on it"
    triplets, _ = load_fashioniq_triplets(tmp_path)
    generator = np.random.default_rng(0)
    texts = {training_text(triplets[0], generator) for _ in range(100)}
    assert texts == {
        "is red with a hand-made band and Has a circle on it",
        "Has a circle on it and is red with a hand-made band",
        "is red with a hand-made band",
        "Has a circle on it",
    }


def test_an_undecodable_image_shifts_no_other(tmp_path: Path) -> None:
    benchmarks = load_cirr(write_cirr(tmp_path, splits=["val"]), "val")
    retriever = colour_retriever()
    [whole] = evaluate_with(benchmarks, retriever, batch_size=4)
    damaged = "dev-900-0-img0"
    benchmarks[0].images[damaged].path.write_bytes(b"")
    [rest] = evaluate_with(benchmarks, retriever, batch_size=4)
    for before, after in zip(whole, rest, strict=True):
        assert [name for name in before if name != damaged] == after


def evaluate_with(benchmarks: list[Benchmark], retriever: Retriever, batch_size: int) -> list[list[list[str]]]:
    tokens, skipped = uncached_tokens(retriever, needed_images(benchmarks))
    embedder = RetrieverAdapter(retriever, tokens)
    _, ranked = evaluate(benchmarks, embedder.embed_gallery, embedder.embed_queries, skipped, batch_size)
    return [each.rankings.gallery for each in ranked]


def test_dropout_is_off_during_evaluation(tmp_path: Path) -> None:
    benchmarks = load_cirr(write_cirr(tmp_path, splits=["val"]), "val")
    retriever = colour_retriever()
    expected = evaluate_with(benchmarks, retriever, batch_size=8)
    retriever.module.train()
    assert evaluate_with(benchmarks, retriever, batch_size=8) == expected


@pytest.mark.parametrize("batch_size", [1, 5, 25])
def test_a_last_batch_of_one_counts(tmp_path: Path, batch_size: int) -> None:
    # 26 images and 8 queries: 25 leaves a last batch of one image, 7 would leave one query.
    benchmarks = load_cirr(write_cirr(tmp_path, splits=["val"]), "val")
    model = RandomModel()
    whole, _ = evaluate(benchmarks, model.embed_gallery, model.embed_queries, batch_size=100)
    parts, _ = evaluate(benchmarks, model.embed_gallery, model.embed_queries, batch_size=batch_size)
    by_sevens, _ = evaluate(benchmarks, model.embed_gallery, model.embed_queries, batch_size=7)
    assert parts == whole == by_sevens


def test_images_need_not_be_png(tmp_path: Path) -> None:
    [benchmark] = load_cirr(write_cirr(tmp_path / "cirr", suffix=".jpg"), "val")
    assert benchmark.missing_images() == []
    retriever = colour_retriever()
    assert OnDemandTokens(retriever, benchmark.images).tokens(benchmark.gallery[:2]).shape == (2, 2, 3)
    assert all(not each.missing_images() for each in load_fashioniq(write_fashioniq(tmp_path / "fashioniq"), "val"))
