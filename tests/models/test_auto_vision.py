"""Vision encoders by hub name, on small random models saved as the hub has them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPModel,
    ConvNextConfig,
    ConvNextModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    Siglip2Config,
    Siglip2Model,
    SiglipConfig,
    SiglipModel,
)
from typer.testing import CliRunner

from helpers.errors import raises
from likebut.cli.main import app
from likebut.data.images import CLIP_MEAN
from likebut.errors import InputError, MissingWeightsError
from likebut.models.auto_vision import image_preprocessing, read_auto_vision
from likebut.retriever.retriever import Retriever

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "patch_size": 16,
}
SEEING: dict[str, Any] = {**SIZES, "image_size": 32}
READING = {**{name: value for name, value in SIZES.items() if name != "patch_size"}, "vocab_size": 50}
PIXELS = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def model_called(name: str) -> Any:
    torch.manual_seed(0)
    match name:
        case "clip":
            return CLIPModel(CLIPConfig(vision_config=SEEING, text_config=READING, projection_dim=16))
        case "siglip":
            return SiglipModel(SiglipConfig(vision_config=SEEING, text_config=READING))
        case "dinov3":
            return DINOv3ViTModel(DINOv3ViTConfig(**SEEING, num_register_tokens=2))
        case "convnext":
            return ConvNextModel(ConvNextConfig(hidden_sizes=[8, 8, 16, 32], depths=[1, 1, 1, 1], image_size=64))
        case _:
            return Siglip2Model(Siglip2Config(vision_config=SIZES, text_config=READING))


def saved(name: str, folder: Path) -> tuple[nn.Module, Path]:
    model = model_called(name).eval()
    model.save_pretrained(folder)
    return model, folder


@pytest.mark.parametrize(("name", "tokens"), [("clip", 1 + 4), ("siglip", 4), ("dinov3", 1 + 2 + 4)])
@torch.no_grad()
def test_tokens_are_the_last_layers(name: str, tokens: int, tmp_path: Path) -> None:
    model, folder = saved(name, tmp_path)
    vision = read_auto_vision(folder, torch.float32)
    assert (vision.tokens, vision.width, vision.size) == (tokens, 32, 32)
    tower = getattr(model, "vision_model", model)
    torch.testing.assert_close(vision(PIXELS), tower(pixel_values=PIXELS).last_hidden_state)


@torch.no_grad()
def test_a_convolutional_encoders_map_becomes_tokens_row_by_row(tmp_path: Path) -> None:
    model, folder = saved("convnext", tmp_path)
    vision = read_auto_vision(folder, torch.float32)
    assert (vision.tokens, vision.width) == (4, 32)
    pixels = torch.randn(1, 3, 64, 64)
    final = model(pixel_values=pixels).last_hidden_state
    torch.testing.assert_close(vision(pixels)[0, 1], final[0, :, 0, 1])


def test_an_encoder_without_a_fixed_resolution_is_refused(tmp_path: Path) -> None:
    _, folder = saved("naflex", tmp_path)
    with raises(InputError, None, "image_size"):
        read_auto_vision(folder, torch.float32)


def test_weights_that_are_not_safetensors_are_refused(tmp_path: Path) -> None:
    model, folder = saved("dinov3", tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with raises(InputError, "unloadable-model"):
        read_auto_vision(folder, torch.float32)


def test_the_encoders_own_mean_and_deviation(tmp_path: Path) -> None:
    assert image_preprocessing(tmp_path, 32).mean == CLIP_MEAN
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    preprocessing = image_preprocessing(tmp_path, 32)
    assert (preprocessing.mean, preprocessing.std, preprocessing.size) == ((0.5,) * 3, (0.25,) * 3, 32)


def test_a_preset_with_another_vision_encoder_makes_a_retriever(tmp_path: Path) -> None:
    _, folder = saved("siglip", tmp_path / "siglip")
    arguments = ["models", "preset", "tiny", "--vision", str(folder), "--out", str(tmp_path / "mine.json")]
    outcome = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert outcome.stdout.endswith("4 image tokens of width 32.\n")
    retriever = Retriever.from_preset(str(tmp_path / "mine.json"), device="cpu")
    pictures = [Image.new("RGB", (50, 30), "red")]
    first = retriever.embed_queries(pictures, ["in blue"])
    assert first.shape == (1, 16)
    retriever.save(tmp_path / "model")
    again = Retriever.from_pretrained(tmp_path / "model", "cpu").embed_queries(pictures, ["in blue"])
    torch.testing.assert_close(torch.from_numpy(again), torch.from_numpy(first))
    assert retriever.vision.name.startswith("auto-")


def test_the_papers_query_encoder_takes_no_other_width(tmp_path: Path) -> None:
    _, folder = saved("siglip", tmp_path / "siglip")
    arguments = ["models", "preset", "paper", "--vision", str(folder), "--out", str(tmp_path / "mine.json")]
    outcome = CliRunner().invoke(app, arguments)
    assert isinstance(outcome.exception, InputError)
    assert "width 1408, but" in outcome.exception.problem


def test_a_preset_that_names_the_wrong_sizes_is_refused(tmp_path: Path) -> None:
    _, folder = saved("siglip", tmp_path / "siglip")
    path = tmp_path / "mine.json"
    CliRunner().invoke(app, ["models", "preset", "tiny", "--vision", str(folder), "--out", str(path)])
    path.write_text(path.read_text().replace('"tokens": 4', '"tokens": 5'))
    with raises(InputError, "preset-mismatch", "tokens 4", "tiny-siglip", 5):
        Retriever.from_preset(str(path), device="cpu")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    arguments = ["models", "preset", "tiny", "--vision", str(tmp_path / "no"), "--out", str(tmp_path / "mine.json")]
    outcome = CliRunner().invoke(app, arguments)
    assert isinstance(outcome.exception, MissingWeightsError)
