"""The dual-encoder baseline, on small random models saved as the hub has them."""

import json
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
from likebut.retriever.base import TripletBatch
from likebut.retriever.retriever import Retriever

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
SEEING = {**SIZES, "image_size": 32, "patch_size": 16}
WORDS = ["<pad>", "<start>", "<end>", "<unk>", "red", "blue", "dress", "longer"]
READING = {**SIZES, "vocab_size": len(WORDS), "max_position_embeddings": 12, "pad_token_id": 0, "eos_token_id": 2}
PICTURES = [Image.new("RGB", (40, 30), "red"), Image.new("RGB", (32, 50), "blue"), Image.new("RGB", (9, 9), "green")]
TEXTS = ["red dress", "longer", "blue dress longer red"]


@pytest.fixture(scope="module", params=["clip", "siglip"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "clip":
        model: Any = CLIPModel(CLIPConfig(vision_config=SEEING, text_config=READING, projection_dim=16))
    else:
        model = SiglipModel(SiglipConfig(vision_config=SEEING, text_config={**READING, "projection_size": 32}))
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
        padded = row + [0] * (12 - len(row)) if model.config.model_type == "siglip" else row
        features.append(model.get_text_features(input_ids=torch.tensor([padded])).pooler_output[0])
    return unit(torch.stack(features))


@torch.no_grad()
def test_embeddings_are_the_models_own(saved: tuple[Any, Path]) -> None:
    model, folder = saved
    retriever = Retriever.from_pretrained(f"dual:{folder}", "cpu")
    pixels = torch.stack([retriever.vision.preprocessing(picture) for picture in PICTURES])
    images = unit(model.get_image_features(pixel_values=pixels).pooler_output)
    np.testing.assert_allclose(retriever.embed_images(PICTURES), images[:, None], atol=1e-5)
    np.testing.assert_allclose(retriever.embed_texts(TEXTS), expected_texts(model), atol=1e-5)
    assert retriever.query_tokens == 1
    assert retriever.embedding_size == images.shape[1]


@pytest.mark.parametrize(("suffix", "weight"), [("", 0.5), ("@0.3", 0.3), ("@1", 1.0), ("@0", 0.0)])
def test_a_query_is_the_weighted_sum(saved: tuple[Any, Path], suffix: str, weight: float) -> None:
    retriever = Retriever.from_pretrained(f"dual:{saved[1]}{suffix}", "cpu")
    images, texts = retriever.embed_images(PICTURES)[:, 0], retriever.embed_texts(TEXTS)
    both = weight * images + (1 - weight) * texts
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    np.testing.assert_allclose(retriever.embed_queries(PICTURES, TEXTS), both, atol=1e-5)


def test_a_text_does_not_depend_on_its_neighbours(saved: tuple[Any, Path]) -> None:
    retriever = Retriever.from_pretrained(f"dual:{saved[1]}", "cpu")
    alone = np.concatenate([retriever.embed_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(retriever.embed_texts(TEXTS), alone, atol=1e-5)


def test_identity_tells_models_and_weights_apart(saved: tuple[Any, Path]) -> None:
    one = Retriever.from_pretrained(f"dual:{saved[1]}", "cpu").identity
    other = Retriever.from_pretrained(f"dual:{saved[1]}@0.3", "cpu").identity
    assert one.vision == other.vision and one.vision.startswith("dual-")
    assert one.fingerprint() != other.fingerprint()


def test_nothing_is_trained_and_nothing_saved(saved: tuple[Any, Path], tmp_path: Path) -> None:
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
def test_a_weight_out_of_range_is_refused(saved: tuple[Any, Path], weight: str) -> None:
    with pytest.raises(InputError, match="is no weight"):
        Retriever.from_pretrained(f"dual:{saved[1]}@{weight}", "cpu")


def test_a_model_that_reads_no_text_is_refused(tmp_path: Path) -> None:
    DINOv3ViTModel(DINOv3ViTConfig(**SEEING)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="does not embed images and texts alike"):
        Retriever.from_pretrained(f"dual:{tmp_path}", "cpu")
