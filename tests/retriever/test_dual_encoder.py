"""The dual-encoder baseline, on small random models in the hub's folder layout."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel, DINOv3ViTConfig, DINOv3ViTModel, SiglipConfig, SiglipModel

from helpers.errors import raises
from likebut.errors import InputError
from likebut.gallery.gallery import Gallery
from likebut.gallery.opening import open_gallery, recorded_model
from likebut.retriever.base import TripletBatch
from likebut.retriever.dual_encoder import absolute_name
from likebut.retriever.retriever import Retriever

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
VISION = {**SIZES, "image_size": 32, "patch_size": 16}
LIMIT = 40
WORDS = ["<pad>", "<start>", "<end>", "<unk>", "red", "blue", "dress", "longer"]
TEXT = {**SIZES, "vocab_size": len(WORDS), "max_position_embeddings": LIMIT, "pad_token_id": 0, "eos_token_id": 2}
IMAGES = [Image.new("RGB", (40, 30), "red"), Image.new("RGB", (32, 50), "blue"), Image.new("RGB", (9, 9), "green")]
TEXTS = ["red dress", "longer", "blue dress longer red"]


@pytest.fixture(scope="module", params=["clip", "siglip"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "clip":
        model: Any = CLIPModel(CLIPConfig(vision_config=VISION, text_config=TEXT, projection_dim=16))
    else:
        model = SiglipModel(SiglipConfig(vision_config=VISION, text_config={**TEXT, "projection_size": 32}))
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "logit" not in name:
                value.normal_(std=0.2)
    model.eval().save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    around = [("<start>", 1), ("<end>", 2)]
    tokenizer.post_processor = processors.TemplateProcessing(single="<start> $A <end>", special_tokens=around)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "<end>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    return model, folder


def unit(rows: torch.Tensor) -> np.ndarray:
    return (rows / rows.norm(dim=-1, keepdim=True)).numpy()


@torch.no_grad()
def expected_texts(model: Any) -> np.ndarray:
    rows = [[1, *(WORDS.index(word) for word in text.split()), 2] for text in TEXTS]
    features = []
    for row in rows:
        # SigLIP was trained with every text padded to its limit and no mask; CLIP needs no padding for one text.
        padded = row + [0] * (LIMIT - len(row)) if model.config.model_type == "siglip" else row
        features.append(model.get_text_features(input_ids=torch.tensor([padded])).pooler_output[0])
    return unit(torch.stack(features))


@torch.no_grad()
def test_embeddings_are_the_models_own(saved: tuple[Any, Path]) -> None:
    model, folder = saved
    retriever = Retriever.from_pretrained(f"dual:{folder}", "cpu")
    pixels = torch.stack([retriever.vision.preprocessing(image) for image in IMAGES])
    images = unit(model.get_image_features(pixel_values=pixels).pooler_output)
    np.testing.assert_allclose(retriever.embed_images(IMAGES), images[:, None], atol=1e-5)
    np.testing.assert_allclose(retriever.embed_texts(TEXTS), expected_texts(model), atol=1e-5)
    assert retriever.query_tokens == 1
    assert retriever.embedding_size == images.shape[1]


@pytest.mark.parametrize(("suffix", "weight"), [("", 0.5), ("@0.3", 0.3), ("@1", 1.0), ("@0", 0.0)])
def test_a_query_is_the_weighted_sum(saved: tuple[Any, Path], suffix: str, weight: float) -> None:
    retriever = Retriever.from_pretrained(f"dual:{saved[1]}{suffix}", "cpu")
    images, texts = retriever.embed_images(IMAGES)[:, 0], retriever.embed_texts(TEXTS)
    both = weight * images + (1 - weight) * texts
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    np.testing.assert_allclose(retriever.embed_queries(IMAGES, TEXTS), both, atol=1e-5)


def test_a_text_embedding_does_not_depend_on_the_batch(saved: tuple[Any, Path]) -> None:
    retriever = Retriever.from_pretrained(f"dual:{saved[1]}", "cpu")
    alone = np.concatenate([retriever.embed_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(retriever.embed_texts(TEXTS), alone, atol=1e-5)


def test_long_texts_are_truncated_to_the_limit_of_the_model(saved: tuple[Any, Path]) -> None:
    retriever = Retriever.from_pretrained(f"dual:{saved[1]}", "cpu")
    words = LIMIT - 2  # besides <start> and <end>
    # 35 tokens, more than the 32 that the query encoders of other retrievers read.
    longer = retriever.embed_texts(["red " * 32 + "dress", "red " * 32 + "blue"])
    assert np.abs(longer[0] - longer[1]).max() > 1e-3
    assert not retriever.is_truncated("red " * words)
    assert retriever.is_truncated("red " * (words + 1))
    exact, cut = retriever.embed_texts(["red " * words, "red " * words + "dress blue"])
    np.testing.assert_allclose(cut, exact, atol=1e-5)


def test_the_limit_of_the_tokenizer_counts_as_well(saved: tuple[Any, Path], tmp_path: Path) -> None:
    shutil.copytree(saved[1], tmp_path / "model")
    names = json.loads((tmp_path / "model" / "tokenizer_config.json").read_text())
    (tmp_path / "model" / "tokenizer_config.json").write_text(json.dumps(names | {"model_max_length": 10}))
    retriever = Retriever.from_pretrained(f"dual:{tmp_path / 'model'}", "cpu")
    assert not retriever.is_truncated("red " * 8) and retriever.is_truncated("red " * 9)


def test_truncation_is_checked_while_other_threads_encode(saved: tuple[Any, Path]) -> None:
    retriever = Retriever.from_pretrained(f"dual:{saved[1]}", "cpu")
    with ThreadPoolExecutor(4) as pool:
        checks = [pool.submit(retriever.is_truncated, "red " * length) for length in range(20, 60)]
        encoded = [pool.submit(retriever.tokenizer, ["red " * length]) for length in range(20, 60)]
        assert [check.result() for check in checks] == [length > LIMIT - 2 for length in range(20, 60)]
        assert all(each.result().ids.shape[1] <= LIMIT for each in encoded)


def test_a_gallery_takes_every_query_weight(saved: tuple[Any, Path], tmp_path: Path) -> None:
    one, other = (Retriever.from_pretrained(f"dual:{saved[1]}{suffix}", "cpu") for suffix in ("", "@0.3"))
    IMAGES[0].save(tmp_path / "red.png")
    Gallery.open(tmp_path / "gallery", one).add(tmp_path / "red.png")
    gallery = Gallery.open(tmp_path / "gallery", other, create=False)
    assert len(gallery.search(text="red")) == 1
    assert one.identity.vision == other.identity.vision and one.identity.vision.startswith("dual-")
    # Queries differ, so what is computed from queries is not the same.
    assert one.identity.fingerprint() != other.identity.fingerprint()


@pytest.mark.parametrize("suffix", ["", "@0.3"])
def test_a_gallery_records_an_absolute_folder(
    saved: tuple[Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    shutil.copytree(saved[1], tmp_path / "work" / "clip@home")
    monkeypatch.chdir(tmp_path / "work")
    location = str(tmp_path / "gallery")
    open_gallery(location, f"dual:./clip@home{suffix}", "cpu", create=True)
    monkeypatch.chdir(tmp_path)
    assert recorded_model(location) == f"dual:{tmp_path / 'work' / 'clip@home'}{suffix}"
    assert open_gallery(location, device="cpu").retriever.query_tokens == 1
    assert open_gallery(location, "dual:work/clip@home@0.7", "cpu").retriever.query_tokens == 1
    assert recorded_model(location) == f"dual:{tmp_path / 'work' / 'clip@home'}{suffix}"


def test_a_hub_id_is_recorded_as_it_is() -> None:
    assert absolute_name("dual:owner/clip@0.3") == "dual:owner/clip@0.3"


def test_nothing_is_trained_or_saved(saved: tuple[Any, Path], tmp_path: Path) -> None:
    retriever = Retriever.from_pretrained(f"dual:{saved[1]}", "cpu")
    assert not any(value.requires_grad for value in retriever.module.parameters())
    with raises(InputError, "nothing-trained"):
        retriever.save(tmp_path / "model")
    width = retriever.vision.width
    reference, target = torch.randn(2, 2, 1, width)
    batch = TripletBatch(reference, target, retriever.tokenizer(TEXTS[:2]))
    assert retriever.model(batch).query_embeddings.shape == (2, width)
    assert 0 < retriever.model.temperature.item() <= 1


@pytest.mark.parametrize("weight", ["1.5", "-0.1", "half", "nan"])
def test_invalid_weights(saved: tuple[Any, Path], weight: str) -> None:
    with pytest.raises(InputError) as error:
        Retriever.from_pretrained(f"dual:{saved[1]}@{weight}", "cpu")
    assert error.value.code == "invalid-image-weight" and f'"{weight}"' in error.value.problem


def test_a_vision_model_is_refused(tmp_path: Path) -> None:
    DINOv3ViTModel(DINOv3ViTConfig(**VISION)).save_pretrained(tmp_path)
    with pytest.raises(InputError) as error:
        Retriever.from_pretrained(f"dual:{tmp_path}", "cpu")
    assert error.value.code == "not-a-dual-encoder" and "DINOv3" in error.value.problem
