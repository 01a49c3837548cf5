import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.errors import raises
from likebut.errors import InputError
from likebut.models.preset import load_preset
from likebut.retriever.build import KINDS
from likebut.retriever.retriever import Retriever, RetrieverConfig

IMAGES = [Image.effect_noise((40 + 3 * index, 30), 90).convert("RGB") for index in range(3)]
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
    np.testing.assert_array_equal(again.embed_queries(IMAGES, TEXTS), first.embed_queries(IMAGES, TEXTS))
    np.testing.assert_array_equal(again.embed_images(IMAGES), first.embed_images(IMAGES))
    assert again.config.model_dump(exclude={"weights_sha256"}) == first.config.model_dump(exclude={"weights_sha256"})


def test_embeddings_are_normalised_and_have_the_documented_shapes(retriever: Retriever) -> None:
    images, queries = retriever.embed_images(IMAGES), retriever.embed_queries(IMAGES, TEXTS)
    texts = retriever.embed_texts(TEXTS)
    assert images.shape == (3, retriever.query_tokens, retriever.embedding_size) == (3, 4, 16)
    assert queries.shape == texts.shape == (3, 16)
    for rows in (images, queries, texts):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=-1), 1.0, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_more_than_a_batch_is_embedded_in_order(retriever: Retriever, threads: int) -> None:
    images, texts = IMAGES * 15, TEXTS * 15
    alone = retriever.embed_queries(IMAGES, TEXTS), retriever.embed_images(IMAGES)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        queries, embeddings = retriever.embed_queries(images, texts), retriever.embed_images(images)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(queries, np.tile(alone[0], (15, 1)), atol=1e-5)
    np.testing.assert_allclose(embeddings, np.tile(alone[1], (15, 1, 1)), atol=1e-5)


def test_the_seed_determines_untrained_heads() -> None:
    one, same, other = (Retriever.from_preset("tiny", seed=seed, device="cpu").embed_texts(TEXTS) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_half_precision_on_disk_is_nearly_the_same(retriever: Retriever, tmp_path: Path) -> None:
    retriever.save(tmp_path, torch.float16)
    again = Retriever.from_pretrained(tmp_path, "cpu").embed_queries(IMAGES, TEXTS)
    np.testing.assert_allclose(again, retriever.embed_queries(IMAGES, TEXTS), atol=5e-3)


def test_identity_changes_with_the_weights(retriever: Retriever, tmp_path: Path) -> None:
    retriever.save(tmp_path / "one")
    with torch.no_grad():
        retriever.module.get_parameter("core.text_projection.bias").add_(1.0)
    retriever.save(tmp_path / "two")
    one, two = (Retriever.from_pretrained(tmp_path / name, "cpu").identity for name in ("one", "two"))
    assert one.vision == two.vision and one.preprocessing == two.preprocessing
    assert one.weights_sha256 != two.weights_sha256
    assert one.fingerprint() != two.fingerprint()


def test_a_saved_retriever_has_the_identity_of_the_loaded_one(retriever: Retriever, tmp_path: Path) -> None:
    retriever.save(tmp_path)
    assert retriever.identity == Retriever.from_pretrained(tmp_path, "cpu").identity


def test_the_identity_of_unsaved_weights_depends_on_their_values() -> None:
    one, same, other = (Retriever.from_preset("tiny", seed=seed, device="cpu").identity for seed in (1, 1, 2))
    assert one == same != other


def test_a_custom_preset_is_stored_in_the_folder(tmp_path: Path) -> None:
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
    with raises(InputError, None, tmp_path, "generator", "retriever"):
        Retriever.from_pretrained(tmp_path, "cpu")


def test_an_unknown_key_in_the_configuration_is_named(retriever: Retriever, tmp_path: Path) -> None:
    retriever.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "poolin": "cls"}))
    with raises(InputError, None, "poolin", "pooling"):
        Retriever.from_pretrained(tmp_path, "cpu")


def test_weights_of_another_preset_are_refused(retriever: Retriever, tmp_path: Path) -> None:
    retriever.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    other = load_preset("tiny").model_dump() | {"name": "other", "embedding_size": 9}
    (tmp_path / "config.json").write_text(json.dumps({**config, "preset": other}))
    with raises(InputError, None, "projection", "(16,", "(9,"):
        Retriever.from_pretrained(tmp_path, "cpu")


def test_an_unknown_kind_is_refused(retriever: Retriever) -> None:
    with raises(InputError, "unknown-kind", "pthaa", "ptha"):
        Retriever.from_preset("tiny", RetrieverConfig(kind="pthaa", preset="tiny"), device="cpu")


def test_a_string_instead_of_a_list_of_texts_is_refused(retriever: Retriever) -> None:
    with raises(InputError, "single-text"):
        retriever.embed_texts("in red")
    with raises(InputError, "single-text"):
        retriever.embed_queries(IMAGES[:2], "ab")


def test_numbers_of_images_and_texts_must_be_equal_and_positive(retriever: Retriever) -> None:
    with raises(InputError, "text-count", 3, 2):
        retriever.embed_queries(IMAGES, TEXTS[:2])
    with raises(InputError, "nothing-to-embed"):
        retriever.embed_images([])


def test_several_texts_on_one_image_run_the_vision_encoder_once(
    retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = retriever.embed_query_tokens(retriever.vision_tokens(IMAGES[:1]), [TEXTS[1]]).numpy()
    retriever.embed_queries(IMAGES[:1], [TEXTS[0]])
    with monkeypatch.context() as patch:
        patch.setattr(type(retriever.vision), "forward", lambda *_: pytest.fail("the vision encoder ran again"))
        again = retriever.embed_queries(IMAGES[:1], [TEXTS[1]])
    np.testing.assert_allclose(again, expected, atol=1e-6)


def test_images_are_paths_bytes_or_pil_images_one_or_many(retriever: Retriever, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, image in zip(paths, IMAGES, strict=True):
        image.save(path)
    images, queries = retriever.embed_images(IMAGES), retriever.embed_queries(IMAGES, TEXTS)
    mixed = [str(paths[0]), paths[1].read_bytes(), IMAGES[2]]
    np.testing.assert_array_equal(retriever.embed_images(mixed), images)
    np.testing.assert_array_equal(retriever.embed_images(iter(paths)), images)
    np.testing.assert_array_equal(retriever.embed_queries(mixed, TEXTS), queries)
    for single in (paths[0], str(paths[0]), paths[0].read_bytes(), IMAGES[0]):
        np.testing.assert_allclose(retriever.embed_images(single), images[:1], atol=1e-6)
        np.testing.assert_allclose(retriever.embed_queries(single, TEXTS[0]), queries[:1], atol=1e-6)
        np.testing.assert_allclose(retriever.embed_queries(single, TEXTS[:1]), queries[:1], atol=1e-6)


@pytest.mark.parametrize("given", [3, None, np.zeros((4, 4, 3)), [np.zeros((4, 4, 3))], {"image": 1.5}.values()])
def test_images_in_any_other_form_are_refused(retriever: Retriever, given: object) -> None:
    with raises(InputError):
        retriever.embed_images(given)
    with raises(InputError):
        retriever.embed_queries(given, TEXTS[:1])


def test_identity_follows_weights_that_change_in_place(retriever: Retriever, tmp_path: Path) -> None:
    retriever.save(tmp_path)
    saved = retriever.identity
    with torch.no_grad():
        retriever.module.get_parameter("core.text_projection.bias")[0] += 0.5
    changed = retriever.identity
    assert changed.weights_sha256 != saved.weights_sha256 and changed == retriever.identity
    loaded = Retriever.from_pretrained(tmp_path, "cpu")
    assert loaded.identity == saved
    optimizer = torch.optim.AdamW([loaded.module.get_parameter("core.text_projection.bias")], fused=True)
    loaded.module.get_parameter("core.text_projection.bias").sum().backward()
    optimizer.step()  # a fused step does not advance the version counters
    assert loaded.identity.weights_sha256 != saved.weights_sha256


def test_a_gallery_refuses_a_retriever_whose_weights_changed_in_place(retriever: Retriever, tmp_path: Path) -> None:
    from likebut import Gallery

    retriever.save(tmp_path / "model")
    IMAGES[0].save(tmp_path / "0.png")
    Gallery.open(tmp_path / "gallery", retriever).add([tmp_path / "0.png"])
    with torch.no_grad():
        retriever.module.get_parameter("core.vision_projection.weight").mul_(-1)
    with raises(InputError):
        Gallery.open(tmp_path / "gallery", retriever)
