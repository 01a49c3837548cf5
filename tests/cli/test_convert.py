"""``likebut models convert``, on checkpoints made from the golden tensors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor
from transformers import Blip2VisionConfig, Blip2VisionModel
from typer.testing import CliRunner

from helpers.paths import FIXTURES
from likebut.cli.main import app
from likebut.errors import InputError
from likebut.models.hub import read_tensors
from likebut.models.preset import Preset
from likebut.retriever.retriever import Retriever

GOLDEN = FIXTURES / "retriever.safetensors"
HEADS = ["--heads", "4"]


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    with safe_open(GOLDEN, "pt") as file:
        names = [name for name in file.keys() if name.startswith("weight.")]
        return {name.removeprefix("weight."): file.get_tensor(name) for name in names}


def convert(folder: Path, content: Any, *options: str, job: str = "retriever") -> dict[str, Any]:
    torch.save(content, folder / "c.pth")
    arguments = ["models", "convert", str(folder / "c.pth"), "--job", job, "--out", str(folder / "out"), "--json"]
    outcome = CliRunner().invoke(app, [*arguments, *options])
    if outcome.exception is not None:
        raise outcome.exception
    result: dict[str, Any] = json.loads(outcome.stdout)
    return result


def test_every_key_is_used_or_ignored_by_name(published: dict[str, Tensor], tmp_path: Path) -> None:
    content = {**published, "itm_head.weight": torch.ones(2, 48), "itm_head.bias": torch.ones(2)}
    content["Qformer.bert.embeddings.position_ids"] = torch.arange(64)[None]
    result = convert(tmp_path, content, *HEADS)
    assert all(
        name.startswith(("Qformer.cls.", "itm_head.", "Qformer.bert.embeddings.position_ids"))
        for name in result["ignored"]
    )
    assert result["used"] + len(result["ignored"]) == len(content)
    retriever = Retriever.from_pretrained(tmp_path / "out", "cpu")
    core = retriever.module.get_submodule("core")
    written = sum(value.numel() for value in core.parameters())
    assert written == sum(value.numel() for name, value in content.items() if name not in result["ignored"])
    torch.testing.assert_close(core.prompt_tokens, published["prompt_tokens"][0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.pop("text_proj.bias"), ("c.pth", "text_proj.bias")),
        (lambda c: c.pop("ln_vision.bias"), ("ln_vision.bias",)),
        (
            lambda c: c.pop("Qformer.bert.encoder.layer.1.intermediate_query.dense.weight"),
            ("Qformer.bert.encoder.layer.1.intermediate_query.dense.weight",),
        ),
        (
            lambda c: c.pop("Qformer.bert.encoder.layer.2.crossattention.output.LayerNorm.bias"),
            ("Qformer.bert.encoder.layer.2.crossattention.output.LayerNorm.bias",),
        ),
        (lambda c: c.pop("query_tokens"), ("query_tokens",)),
        (lambda c: c.pop("prompt_tokens"), ("prompt_tokens",)),
        (lambda c: c.update(stranger=torch.ones(1)), ("stranger",)),
        (lambda c: c.update({"llm_proj.weight": torch.ones(2, 2)}), ("llm_proj.weight",)),
        (
            lambda c: c.update({"Qformer.bert.encoder.layer.0.attention.self.gate.weight": torch.ones(1)}),
            ("Qformer.bert.encoder.layer.0.attention.self.gate.weight",),
        ),
        (lambda c: c.update({"vision_proj.weight": torch.ones(16, 7)}), ("vision_proj.weight", "(16, 7)")),
        (
            lambda c: c.update({"Qformer.bert.encoder.layer.3.output.dense.weight": torch.ones(3, 3)}),
            ("layer.3.output.dense.weight", "(3, 3)", "(48, 96)"),
        ),
    ],
)
def test_wrong_checkpoint_names_the_key(
    change: Callable[[dict[str, Tensor]], object], named: tuple[str, ...], published: dict[str, Tensor], tmp_path: Path
) -> None:
    content = dict(published)
    change(content)
    with pytest.raises(InputError) as error:
        convert(tmp_path, content, *HEADS)
    assert all(value in error.value.problem for value in named)
    assert not (tmp_path / "out").exists()


def test_retriever_checkpoint_as_a_generator(published: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        convert(tmp_path, published, *HEADS, job="generator")


def test_unknown_number_of_heads(published: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="48.* --heads"):
        convert(tmp_path, published)


def test_stage_one_initialises_prompt_tokens(published: dict[str, Tensor], tmp_path: Path) -> None:
    content = {name: value for name, value in published.items() if name != "prompt_tokens"}
    convert(tmp_path, content, *HEADS, "--stage-one")
    prompts = Retriever.from_pretrained(tmp_path / "out", "cpu").module.get_parameter("core.prompt_tokens")
    assert prompts.shape == (8, 48)
    assert 0.01 < prompts.std().item() < 0.03


@pytest.mark.parametrize(("options", "pooling"), [([], "published"), (["--kind", "sprc"], "cls")])
def test_default_pooling_is_that_of_the_release(
    options: list[str], pooling: str, published: dict[str, Tensor], tmp_path: Path
) -> None:
    convert(tmp_path, published, *HEADS, *options)
    assert Retriever.from_pretrained(tmp_path / "out", "cpu").config.pooling == pooling


def test_parts_missing_from_the_checkpoint(published: dict[str, Tensor], tmp_path: Path) -> None:
    convert(tmp_path, published, *HEADS)
    retriever = Retriever.from_pretrained(tmp_path / "out", "cpu")
    with pytest.raises(InputError, match="vision encoder"):
        retriever.embed_images([Image.new("RGB", (9, 9))])
    with pytest.raises(InputError, match="tokenizer"):
        retriever.embed_texts(["red"])


def test_existing_folder_is_not_overwritten(published: dict[str, Tensor], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError) as error:
        convert(tmp_path, published, *HEADS)
    assert error.value.code == "already-exists"


def test_preset_of_other_sizes(published: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="hidden_size.* 48.* tiny .*32"):
        convert(tmp_path, published, "--preset", "tiny")


def test_converted_model_saved_again_is_equal(published: dict[str, Tensor], tmp_path: Path) -> None:
    convert(tmp_path, published, *HEADS)
    retriever = Retriever.from_pretrained(tmp_path / "out", "cpu")
    retriever.save(tmp_path / "again")
    again = Retriever.from_pretrained(tmp_path / "again", "cpu")
    assert isinstance(again.config.preset, Preset)
    tokens = torch.randn(2, 5, 40)
    torch.testing.assert_close(again.embed_image_tokens(tokens), retriever.embed_image_tokens(tokens))


def lavis_vision(model: Blip2VisionModel) -> dict[str, Tensor]:
    """The names that LAVIS gives an EVA ViT's tensors, written out from its own module tree."""
    state = {name: value.detach() for name, value in model.named_parameters()}
    renamed = {
        "visual_encoder.cls_token": state["embeddings.class_embedding"],
        "visual_encoder.pos_embed": state["embeddings.position_embedding"],
        "visual_encoder.patch_embed.proj.weight": state["embeddings.patch_embedding.weight"],
        "visual_encoder.patch_embed.proj.bias": state["embeddings.patch_embedding.bias"],
        "ln_vision.weight": state["post_layernorm.weight"],
        "ln_vision.bias": state["post_layernorm.bias"],
    }
    for index in range(model.config.num_hidden_layers):
        theirs, ours = f"encoder.layers.{index}.", f"visual_encoder.blocks.{index}."
        query, _, value = state[f"{theirs}self_attn.qkv.bias"].chunk(3)
        renamed[f"{ours}attn.q_bias"], renamed[f"{ours}attn.v_bias"] = query, value
        renamed[f"{ours}attn.qkv.weight"] = state[f"{theirs}self_attn.qkv.weight"]
        for kind in ("weight", "bias"):
            renamed[f"{ours}attn.proj.{kind}"] = state[f"{theirs}self_attn.projection.{kind}"]
            for number in "12":
                renamed[f"{ours}norm{number}.{kind}"] = state[f"{theirs}layer_norm{number}.{kind}"]
                renamed[f"{ours}mlp.fc{number}.{kind}"] = state[f"{theirs}mlp.fc{number}.{kind}"]
    return renamed


def random_vision() -> Blip2VisionModel:
    torch.manual_seed(2)
    config = Blip2VisionConfig(
        hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4, image_size=28, patch_size=14
    )
    model = Blip2VisionModel(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.normal_(std=0.3)
            if name.endswith("qkv.bias"):
                value[40:80] = 0  # EVA's keys have no bias
    return model


@torch.no_grad()
def test_vision_encoder_is_converted(published: dict[str, Tensor], tmp_path: Path) -> None:
    model = random_vision()
    convert(tmp_path, {**published, **lavis_vision(model)}, *HEADS, "--vision-heads", "4")
    retriever = Retriever.from_pretrained(tmp_path / "out", "cpu")
    pixels = torch.randn(3, 3, 28, 28)
    tokens = retriever.vision(pixels)
    assert (retriever.vision.tokens, retriever.vision.width) == (5, 40)
    assert retriever.vision.preprocessing.size == 28
    normed = retriever.module.get_submodule("core.query_encoder.image_norm")(tokens)
    torch.testing.assert_close(normed, model(pixels).last_hidden_state, rtol=0, atol=1e-4)
    assert retriever.embed_images([Image.new("RGB", (30, 20))]).shape == (1, 8, 16)
    assert len(read_tensors(tmp_path / "out" / "vision", [""])) == len(list(model.parameters())) - 2


def test_export_includes_the_converted_vision_encoder(published: dict[str, Tensor], tmp_path: Path) -> None:
    convert(tmp_path, {**published, **lavis_vision(random_vision())}, *HEADS, "--vision-heads", "4")
    images = [Image.new("RGB", (30, 20), "red")]
    expected = Retriever.from_pretrained(tmp_path / "out", "cpu").embed_images(images)
    arguments = ["models", "export", str(tmp_path / "out"), "retriever", str(tmp_path / "small")]
    assert CliRunner().invoke(app, arguments, catch_exceptions=False).exit_code == 0
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    exported = Retriever.from_pretrained(tmp_path / "small", "cpu").embed_images(images)
    torch.testing.assert_close(torch.from_numpy(exported), torch.from_numpy(expected), rtol=0, atol=1e-2)


def test_incomplete_vision_encoder(published: dict[str, Tensor], tmp_path: Path) -> None:
    content = {**published, **lavis_vision(random_vision())}
    del content["visual_encoder.blocks.1.mlp.fc2.bias"]
    with pytest.raises(InputError, match=r"visual_encoder\.blocks\.1\.mlp\.fc2\.bias"):
        convert(tmp_path, content, *HEADS, "--vision-heads", "4")


@pytest.mark.parametrize("heads", ["7", "0"])
def test_vision_heads_must_divide_the_width(published: dict[str, Tensor], tmp_path: Path, heads: str) -> None:
    with pytest.raises(InputError, match=rf"\b40\b.*\b{heads}\b"):
        convert(tmp_path, {**published, **lavis_vision(random_vision())}, *HEADS, "--vision-heads", heads)
    assert not (tmp_path / "out").exists()
