from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.colour_retriever import colour_retriever
from helpers.official import write_cirr
from likebut.data.triplets import ImageRef, Query
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.cirr import load_cirr
from likebut.evaluation.embedding import (
    OnDemandTokens,
    RetrieverAdapter,
    cached_tokens,
    needed_images,
    require_images,
    uncached_tokens,
)
from likebut.evaluation.evaluator import evaluate


@pytest.fixture
def images(tmp_path: Path) -> dict[str, ImageRef]:
    colours = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "black": (0, 0, 0)}
    for name, colour in colours.items():
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{name}.png")
    return {name: ImageRef(name, tmp_path / f"{name}.png") for name in colours}


def query_of(reference: str, text: str) -> Query:
    return Query(id=text, reference=reference, modification=text, target="", targets=())


QUERIES = [query_of("black", "all blue"), query_of("red", "red"), query_of("black", "green")]


def adapter(images: dict[str, ImageRef], mode: str = "composed") -> RetrieverAdapter:
    retriever = colour_retriever()
    return RetrieverAdapter(retriever, OnDemandTokens(retriever, images), mode)


def test_embeds_images_and_composed_queries(images: dict[str, ImageRef]) -> None:
    gallery = adapter(images).embed_gallery(list(images.values()))
    assert gallery.shape == (4, 2, 3)
    np.testing.assert_allclose(gallery[0, 0], [1, 0.0099, 0.0099], atol=1e-4)
    queries = adapter(images).embed_queries([query_of("red", "all blue")])
    np.testing.assert_allclose(queries, [[2**-0.5, 0, 2**-0.5]], atol=1e-6)


def test_query_modes_read_the_text_or_the_image_only(images: dict[str, ImageRef]) -> None:
    by_text = adapter(images, "text").embed_queries([query_of("red", "blue"), query_of("green", "blue")])
    np.testing.assert_array_equal(by_text[0], by_text[1])
    by_image = adapter(images, "image").embed_queries([query_of("red", "blue"), query_of("red", "green")])
    np.testing.assert_array_equal(by_image[0], by_image[1])
    np.testing.assert_allclose(by_image[0], [1, 0.0099, 0.0099], atol=1e-4)
    with pytest.raises(InputError) as error:
        adapter(images, "compose")
    assert error.value.code == "unknown-choice"
    assert '"composed"' in str(error.value)


def test_a_retriever_left_in_training_mode_is_evaluated_in_eval_mode(images: dict[str, ImageRef]) -> None:
    expected = adapter(images).embed_queries(QUERIES)
    retriever = colour_retriever()
    embedder = RetrieverAdapter(retriever, OnDemandTokens(retriever, images))
    retriever.module.train()
    np.testing.assert_array_equal(embedder.embed_queries(QUERIES), expected)
    np.testing.assert_array_equal(
        embedder.embed_gallery([images["red"]]), adapter(images).embed_gallery([images["red"]])
    )
    assert retriever.module.training  # the mode is restored


def test_a_batch_of_one_keeps_its_axis(images: dict[str, ImageRef]) -> None:
    together, alone = adapter(images).embed_queries(QUERIES), [adapter(images).embed_queries([q]) for q in QUERIES]
    assert [part.shape for part in alone] == [(1, 3)] * 3
    np.testing.assert_allclose(np.concatenate(alone), together, atol=1e-6)
    assert adapter(images).embed_gallery([images["red"]]).shape == (1, 2, 3)


def test_an_image_named_twice_in_a_batch_is_encoded_once(images: dict[str, ImageRef]) -> None:
    tokens = OnDemandTokens(colour_retriever(), images).tokens(["red", "blue", "red"])
    assert tokens.shape == (3, 2, 3)
    np.testing.assert_array_equal(tokens[0], tokens[2])
    np.testing.assert_allclose(tokens[1, 0], [0, 0, 1])


def truncate_reference(benchmark: Benchmark) -> str:
    """Truncate the file of the first query's reference image; return its name."""
    name = benchmark.queries[0].reference
    path = benchmark.images[name].path
    path.write_bytes(path.read_bytes()[:40])
    return name


@pytest.mark.parametrize("cached", [True, False])
def test_a_damaged_image_is_skipped_and_shifts_no_other_embedding(tmp_path: Path, cached: bool) -> None:
    benchmarks = load_cirr(write_cirr(tmp_path, splits=["val"]), "val")
    retriever = colour_retriever()
    damaged = truncate_reference(benchmarks[0])
    images = needed_images(benchmarks)
    if cached:
        tokens, skipped = cached_tokens(retriever, images, tmp_path / "features", batch_size=4)
    else:
        tokens, skipped = uncached_tokens(retriever, images)
    assert [image.name for image in skipped] == [damaged]
    embedder = RetrieverAdapter(retriever, tokens)
    report, [ranked] = evaluate(
        benchmarks, embedder.embed_gallery, embedder.embed_queries, skipped=skipped, batch_size=3
    )
    assert report.to_json()["queries"] == len(benchmarks[0].queries)
    assert [image.name for image in report.skipped] == [damaged]
    assert ranked.rankings.gallery[0] == []
    # The last image is still nearest to its own query: the gap shifted no embedding.
    last = benchmarks[0].queries[-1]
    same = RetrieverAdapter(retriever, tokens, "image")
    [own] = same.embed_queries([last])
    [embeddings] = same.embed_gallery([benchmarks[0].images[last.reference]])
    assert (embeddings @ own).max() > 0.97


def test_missing_images_stop_an_evaluation_unless_allowed(tmp_path: Path) -> None:
    benchmarks = load_cirr(write_cirr(tmp_path, splits=["val"]), "val")
    assert require_images(benchmarks) == []
    gone = benchmarks[0].images["dev-0-1-img0"].path
    gone.unlink()
    with pytest.raises(InputError) as error:
        require_images(benchmarks)
    assert error.value.code == "missing-images"
    assert "1 of the 26" in str(error.value)
    assert str(gone) in str(error.value)
    assert [image.name for image in require_images(benchmarks, allow_missing=True)] == ["dev-0-1-img0"]


def test_tokens_that_would_fill_the_disk_are_refused_before_computing_them(
    tmp_path: Path, images: dict[str, ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = colour_retriever()
    monkeypatch.setattr(retriever.vision, "width", 10**15)
    with pytest.raises(InputError) as error:
        cached_tokens(retriever, list(images.values()), tmp_path / "features")
    assert error.value.code == "disk-full"
