"""The pulled parts of the preset `small` do what their makers say. Run with: pytest -m slow, after a pull."""

import json

import pytest
import torch

from helpers.paths import CLOTHING
from likebut.data.images import decode
from likebut.models.efficientnet_lite import EfficientNetLite2
from likebut.models.loading import load_language_model, load_query_encoder, load_tokenizer, load_vision
from likebut.models.parts import find_part
from likebut.models.preset import load_preset

PRESET = load_preset("small")
PHOTOS = CLOTHING
# What a photograph of such a garment may be called among ImageNet's classes, and how often it must be among the
# first five of them. No class is named "hoodie"; 841 is "sweatshirt".
EXPECTED = {
    "t-shirt": ({610}, 0.9),
    "jeans": ({608}, 0.9),
    "hoodie": ({841}, 0.75),
    "blazer": ({834}, 0.75),
    "sneakers": ({770}, 0.75),
    "boots": ({514}, 0.6),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(find_part(name, source) for name, source in PRESET.sources.items()),
        reason="the parts of small are not on this machine: likebut models pull small",
    ),
]


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="set LIKEBUT_CLOTHING to the clothing photographs")
@pytest.mark.parametrize("garment", EXPECTED)
@torch.inference_mode()
def test_vision_recognises_photographs_of_clothing(garment: str) -> None:
    classes, least = EXPECTED[garment]
    rows = [json.loads(line) for line in (PHOTOS / "annotations.jsonl").read_text().splitlines()]
    names = sorted(row["image"] for row in rows if row["type"] == garment)[:40]
    vision = load_vision(PRESET)
    part = find_part("efficientnet-lite2", PRESET.sources["efficientnet-lite2"])
    assert part is not None
    classifier = part.tensors()
    pixels = torch.stack([vision.preprocessing(decode(PHOTOS / "images" / name)) for name in names])
    network = vision.network
    assert isinstance(network, EfficientNetLite2)
    pooled = network.head_map(pixels).mean(dim=(2, 3))
    scores = pooled @ classifier["classifier.weight"].T + classifier["classifier.bias"]
    found = [bool(classes & set(row)) for row in scores.topk(5).indices.tolist()]
    assert sum(found) / len(found) >= least


@torch.inference_mode()
def test_an_images_tokens_do_not_depend_on_its_batch() -> None:
    # A token cache that was interrupted and went on must hold the same bits as one that was not.
    vision = load_vision(PRESET)
    pixels = torch.randn(9, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    together = vision(pixels)
    assert together.shape == (9, 49, 816)
    apart = torch.cat([vision(pixels[:1]), vision(pixels[1:4]), vision(pixels[4:])])
    assert torch.equal(together, apart)


@torch.inference_mode()
def test_query_encoder_reads_text_as_minilm_does() -> None:
    texts = ["a red dress with long sleeves", "a crimson gown, long-sleeved", "the stock market fell today"]
    text = load_tokenizer(PRESET)(texts)
    states = load_query_encoder(PRESET).eval().encode_text(text)
    mask = text.mask[..., None]
    embeddings = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    similarity = embeddings @ embeddings.T
    assert similarity[0, 1] > 0.6 and similarity[0, 2] < 0.1


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_language_model_continues_a_text(dtype: torch.dtype) -> None:
    language = load_language_model(PRESET, dtype=dtype)
    prompt = torch.tensor(language.encode(["The capital of France is"]))
    mask = torch.ones_like(prompt)
    written = language.model.generate(
        prompt, attention_mask=mask, max_new_tokens=3, do_sample=False, eos_token_id=2, pad_token_id=2
    )
    assert language.decode(written[0].tolist()).startswith("The capital of France is Paris.")


def test_language_tokenizer_is_smollms() -> None:
    language = load_language_model(PRESET)
    assert (language.end_id, language.width) == (2, 576)
    text = "The dress is red, size 42.\n\nIt's  nice — voilà! 👗"
    ids = language.encode([text])[0]
    assert language.decode(ids) == text
    assert [language.decode([i]) for i in ids[:9]] == ["The", " dress", " is", " red", ",", " size", " ", "4", "2"]
