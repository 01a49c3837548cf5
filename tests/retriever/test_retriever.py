import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from likebut.errors import InputError
from likebut.models.preset import load_preset
from likebut.retriever.build import KINDS
from likebut.retriever.retriever import Retriever, RetrieverConfig

PICTURES = [Image.effect_noise((40 + 3 * index, 30), 90).convert("RGB") for index in range(3)]
TEXTS = ["in red", "with much longer sleeves, and a belt", "two of them"]


@pytest.fixture
def retriever() -> Retriever:
    return Retriever.from_preset("tiny", device="cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_of_every_kind(kind: str, tmp_path: Path) -> None:
    first = Retriever.from_preset(
        "tiny", RetrieverConfig(kind=kind, preset="tiny", pooling="cls"), seed=7, device="cpu"
    )
    first.save(tmp_path)
    again = Retriever.from_pretrained(tmp_path, "cpu")
    np.testing.assert_array_equal(again.embed_queries(PICTURES, TEXTS), first.embed_queries(PICTURES, TEXTS))
    np.testing.assert_array_equal(again.embed_images(PICTURES), first.embed_images(PICTURES))
    assert again.config.model_dump(exclude={"weights_sha256"}) == first.config.model_dump(exclude={"weights_sha256"})


def test_embeddings_have_length_one_and_the_shapes_that_are_promised(retriever: Retriever) -> None:
    images, queries = retriever.embed_images(PICTURES), retriever.embed_queries(PICTURES, TEXTS)
    texts = retriever.embed_texts(TEXTS)
    assert images.shape == (3, retriever.query_tokens, retriever.embedding_size) == (3, 4, 16)
    assert queries.shape == texts.shape == (3, 16)
    for rows in (images, queries, texts):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=-1), 1.0, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_more_than_a_batch_is_embedded_in_order(retriever: Retriever, threads: int) -> None:
    pictures, texts = PICTURES * 15, TEXTS * 15
    alone = retriever.embed_queries(PICTURES, TEXTS), retriever.embed_images(PICTURES)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        queries, images = retriever.embed_queries(pictures, texts), retriever.embed_images(pictures)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(queries, np.tile(alone[0], (15, 1)), atol=1e-5)
    np.testing.assert_allclose(images, np.tile(alone[1], (15, 1, 1)), atol=1e-5)


def test_the_seed_tells_untrained_heads_apart() -> None:
    one, same, other = (Retriever.from_preset("tiny", seed=seed, device="cpu").embed_texts(TEXTS) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_half_precision_on_disk_is_nearly_the_same(retriever: Retriever, tmp_path: Path) -> None:
    retriever.save(tmp_path, torch.float16)
    again = Retriever.from_pretrained(tmp_path, "cpu").embed_queries(PICTURES, TEXTS)
    np.testing.assert_allclose(again, retriever.embed_queries(PICTURES, TEXTS), atol=5e-3)


def test_identity_changes_with_the_weights(retriever: Retriever, tmp_path: Path) -> None:
    retriever.save(tmp_path / "one")
    with torch.no_grad():
        retriever.module.get_parameter("core.text_projection.bias").add_(1.0)
    retriever.save(tmp_path / "two")
    one, two = (Retriever.from_pretrained(tmp_path / name, "cpu").identity for name in ("one", "two"))
    assert one.vision == two.vision and one.preprocessing == two.preprocessing
    assert one.weights_sha256 != two.weights_sha256
    assert one.fingerprint() != two.fingerprint()


def test_a_saved_retriever_and_the_same_loaded_again_are_one(retriever: Retriever, tmp_path: Path) -> None:
    retriever.save(tmp_path)
    assert retriever.identity == Retriever.from_pretrained(tmp_path, "cpu").identity


def test_unsaved_weights_tell_retrievers_apart() -> None:
    one, same, other = (Retriever.from_preset("tiny", seed=seed, device="cpu").identity for seed in (1, 1, 2))
    assert one == same != other


def test_a_preset_of_ones_own_stands_in_the_folder(tmp_path: Path) -> None:
    own = load_preset("tiny").model_copy(update={"name": "mine", "embedding_size": 6})
    retriever = Retriever.from_preset(own, device="cpu")
    retriever.save(tmp_path)
    again = Retriever.from_pretrained(tmp_path, "cpu")
    assert again.embedding_size == 6
    assert again.identity.model == "ptha/mine"
    np.testing.assert_array_equal(again.embed_texts(TEXTS), retriever.embed_texts(TEXTS))


def test_another_jobs_folder_is_refused(retriever: Retriever, tmp_path: Path) -> None:
    retriever.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "job": "generator"}))
    with pytest.raises(InputError, match="a generator, not a retriever"):
        Retriever.from_pretrained(tmp_path, "cpu")


def test_an_unknown_key_in_the_configuration_is_named(retriever: Retriever, tmp_path: Path) -> None:
    retriever.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "poolin": "cls"}))
    with pytest.raises(InputError, match='unknown key "poolin"') as raised:
        Retriever.from_pretrained(tmp_path, "cpu")
    assert "pooling" in raised.value.remedy


def test_weights_of_another_preset_are_refused(retriever: Retriever, tmp_path: Path) -> None:
    retriever.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    other = load_preset("tiny").model_dump() | {"name": "other", "embedding_size": 9}
    (tmp_path / "config.json").write_text(json.dumps({**config, "preset": other}))
    with pytest.raises(InputError, match=r"projection\.\w+ has shape \(16,.*the model's is \(9,"):
        Retriever.from_pretrained(tmp_path, "cpu")


def test_a_kind_that_does_not_exist(retriever: Retriever) -> None:
    with pytest.raises(InputError, match='no retriever "pthaa"'):
        Retriever.from_preset("tiny", RetrieverConfig(kind="pthaa", preset="tiny"), device="cpu")


def test_one_text_is_not_taken_for_its_letters(retriever: Retriever) -> None:
    with pytest.raises(InputError, match=r"Write \[text\]"):
        retriever.embed_texts("in red")
    with pytest.raises(InputError, match="One text was given"):
        retriever.embed_queries(PICTURES[:2], "ab")


def test_as_many_texts_as_images_and_at_least_one(retriever: Retriever) -> None:
    with pytest.raises(InputError, match="3 images came with 2 texts"):
        retriever.embed_queries(PICTURES, TEXTS[:2])
    with pytest.raises(InputError, match="nothing to embed"):
        retriever.embed_images([])


def test_several_texts_on_one_picture_run_the_vision_encoder_once(
    retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = retriever.embed_query_tokens(retriever.vision_tokens(PICTURES[:1]), [TEXTS[1]]).numpy()
    retriever.embed_queries(PICTURES[:1], [TEXTS[0]])
    with monkeypatch.context() as patch:
        patch.setattr(type(retriever.vision), "forward", lambda *_: pytest.fail("the vision encoder ran again"))
        again = retriever.embed_queries(PICTURES[:1], [TEXTS[1]])
    np.testing.assert_allclose(again, expected, atol=1e-6)
