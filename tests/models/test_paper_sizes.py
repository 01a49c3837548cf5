"""The paper's real sizes on the meta device: names, shapes and counts of every parameter, with no weights."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    Blip2Config,
    Blip2ForImageTextRetrieval,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipQFormerConfig,
    LlamaConfig,
    T5Config,
)

from likebut.models.blip2 import Blip2Vision, query_encoder_config, query_encoder_name
from likebut.models.checkpoint_file import Checkpoint
from likebut.models.lavis import query_encoder_sizes, split_checkpoint, vision_name, vision_sizes, vision_state
from likebut.models.preset import HubLanguageModelPart, Preset, load_preset
from likebut.models.query_encoder import QueryEncoder
from likebut.retriever.base import RetrieverCore

VOCABULARY = 30523  # BERT's and [DEC]
LLAMA_7B = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
FLAN_T5_XL = {"d_model": 2048, "d_kv": 64, "d_ff": 5120, "num_layers": 24, "num_heads": 32, "is_gated_act": True}


@pytest.fixture(scope="module")
def paper() -> Preset:
    return load_preset("paper")


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.named_parameters()}


def count(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def blip2() -> Blip2ForImageTextRetrieval:
    encoder = Blip2QFormerConfig(vocab_size=VOCABULARY, use_qformer_text_input=True)
    with torch.device("meta"):
        return Blip2ForImageTextRetrieval(Blip2Config(vision_config=Blip2VisionConfig(), qformer_config=encoder))


def instructblip(text: Any) -> InstructBlipForConditionalGeneration:
    encoder = InstructBlipQFormerConfig(vocab_size=VOCABULARY)
    with torch.device("meta"):
        return InstructBlipForConditionalGeneration(InstructBlipConfig(qformer_config=encoder, text_config=text))


def renamed(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """What the query encoder takes of ``model``, under its own names."""
    found = {}
    for key, shape in shapes(model).items():
        name = query_encoder_name(key)
        if name is not None:
            found[name] = shape[1:] if name == "query_tokens" else shape
    return found


def test_the_retrievers_parts_are_blip2s(paper: Preset) -> None:
    theirs = blip2()
    with torch.device("meta"):
        core = RetrieverCore(QueryEncoder(paper.query_encoder.config()), paper.embedding_size)
        vision = Blip2Vision(theirs.config.to_dict())
    assert renamed(theirs) == shapes(core.query_encoder)
    in_vision = {f"vision_model.{name}": shape for name, shape in shapes(vision).items()}
    rest = {
        name: shape
        for name, shape in shapes(theirs).items()
        if query_encoder_name(name) is None and name not in in_vision
    }
    assert in_vision.items() <= shapes(theirs).items()
    assert rest == {
        "vision_projection.weight": (256, 768),
        "vision_projection.bias": (256,),
        "text_projection.weight": (256, 768),
        "text_projection.bias": (256,),
        "itm_head.weight": (2, 768),
        "itm_head.bias": (2,),
    }
    assert (vision.width, vision.tokens, vision.size) == (1408, 257, 224)
    assert (paper.vision.width, paper.vision.tokens, paper.vision.image_size) == (1408, 257, 224)


def test_counts_worked_out_by_hand(paper: Preset) -> None:
    width, inner, image, layers = 768, 3072, 1408, 12
    attention = 4 * (width * width + width) + 2 * width
    cross = 2 * (width * width + width) + 2 * (image * width + width) + 2 * width
    feed_forward = 2 * width * inner + inner + width + 2 * width
    embeddings = (VOCABULARY + 512 + 32) * width + 2 * width
    expected = layers * (attention + 2 * feed_forward) + layers // 2 * cross + embeddings + 2 * image
    with torch.device("meta"):
        encoder = QueryEncoder(paper.query_encoder.config())
        core = RetrieverCore(encoder, 256)
        vision = Blip2Vision({})
    assert count(encoder) == expected == 185_687_552
    assert count(core) == expected + 2 * (256 * width + 256) + 32 * width + 1
    eva, eva_inner = 1408, 6144
    block = 3 * eva * eva + 3 * eva + eva * eva + eva + 2 * eva * eva_inner + eva_inner + eva + 4 * eva
    assert count(vision) == 39 * block + (3 * 14 * 14 + 1) * eva + eva + 257 * eva == 985_949_440


@pytest.mark.parametrize(
    ("name", "text", "width"),
    [
        ("paper", LlamaConfig(**LLAMA_7B, vocab_size=32001), 4096),
        ("paper-flan-t5-xl", T5Config(**FLAN_T5_XL, vocab_size=32128), 2048),
    ],
)
def test_the_generators_parts_are_instructblips(name: str, text: Any, width: int) -> None:
    preset = load_preset(name)
    theirs = instructblip(text)
    with torch.device("meta"):
        encoder = QueryEncoder(preset.query_encoder_of("generator").config())
    assert renamed(theirs) == shapes(encoder)
    assert isinstance(preset.language_model, HubLanguageModelPart)
    assert preset.language_model.width == theirs.language_model.config.hidden_size == width
    assert tuple(theirs.language_projection.weight.shape) == (width, 768)
    assert query_encoder_config(theirs.config.to_dict()).vocabulary_size == VOCABULARY


def test_the_flan_t5_presets_differ_in_the_generator_alone(paper: Preset) -> None:
    for name in ("paper-flan-t5-xl", "paper-flan-t5-xxl"):
        other = load_preset(name)
        assert (other.vision, other.query_encoder, other.tokenizer) == (
            paper.vision,
            paper.query_encoder,
            paper.tokenizer,
        )
        assert other.takes_weights_of(paper, "retriever")


def lavis_checkpoint() -> dict[str, Tensor]:
    """Every key of a published PTHA checkpoint with its shape, after LAVIS's module tree."""
    made: dict[str, tuple[int, ...]] = {
        "visual_encoder.cls_token": (1, 1, 1408),
        "visual_encoder.pos_embed": (1, 257, 1408),
        "visual_encoder.patch_embed.proj.weight": (1408, 3, 14, 14),
        "visual_encoder.patch_embed.proj.bias": (1408,),
        "ln_vision.weight": (1408,),
        "ln_vision.bias": (1408,),
        "query_tokens": (1, 32, 768),
        "prompt_tokens": (1, 32, 768),
        "temp": (),
        "Qformer.bert.embeddings.position_ids": (1, 512),
        "Qformer.bert.embeddings.word_embeddings.weight": (VOCABULARY, 768),
        "Qformer.bert.embeddings.position_embeddings.weight": (512, 768),
    }

    def linear(name: str, to: int, source: int) -> None:
        made[f"{name}.weight"], made[f"{name}.bias"] = (to, source), (to,)

    def norm(name: str, width: int = 768) -> None:
        made[f"{name}.weight"], made[f"{name}.bias"] = (width,), (width,)

    for index in range(39):
        block = f"visual_encoder.blocks.{index}"
        norm(f"{block}.norm1", 1408)
        norm(f"{block}.norm2", 1408)
        made[f"{block}.attn.qkv.weight"] = (3 * 1408, 1408)
        made[f"{block}.attn.q_bias"] = made[f"{block}.attn.v_bias"] = (1408,)
        linear(f"{block}.attn.proj", 1408, 1408)
        linear(f"{block}.mlp.fc1", 6144, 1408)
        linear(f"{block}.mlp.fc2", 1408, 6144)
    norm("Qformer.bert.embeddings.LayerNorm")
    for index in range(12):
        layer = f"Qformer.bert.encoder.layer.{index}"
        for kind, source in (("attention", 768), *((("crossattention", 1408),) if index % 2 == 0 else ())):
            linear(f"{layer}.{kind}.self.query", 768, 768)
            linear(f"{layer}.{kind}.self.key", 768, source)
            linear(f"{layer}.{kind}.self.value", 768, source)
            linear(f"{layer}.{kind}.output.dense", 768, 768)
            norm(f"{layer}.{kind}.output.LayerNorm")
        for suffix in ("", "_query"):
            linear(f"{layer}.intermediate{suffix}.dense", 3072, 768)
            linear(f"{layer}.output{suffix}.dense", 768, 3072)
            norm(f"{layer}.output{suffix}.LayerNorm")
    made["Qformer.cls.predictions.bias"] = (VOCABULARY,)
    linear("Qformer.cls.predictions.decoder", VOCABULARY, 768)
    linear("Qformer.cls.predictions.transform.dense", 768, 768)
    norm("Qformer.cls.predictions.transform.LayerNorm")
    linear("vision_proj", 256, 768)
    linear("text_proj", 256, 768)
    linear("itm_head", 2, 768)
    return {name: torch.empty(shape, device="meta") for name, shape in made.items()}


def test_a_published_checkpoint_at_its_real_sizes(paper: Preset, tmp_path: Any) -> None:
    checkpoint = Checkpoint(tmp_path / "ptha.pth", lavis_checkpoint())
    sizes = query_encoder_sizes(checkpoint)
    assert sizes == paper.query_encoder.config()
    heads = {name: name for name in checkpoint.tensors if name.startswith(("vision_proj", "text_proj", "temp"))}
    heads["prompt_tokens"] = "prompt_tokens"
    parts = split_checkpoint(checkpoint, sizes, "", heads, ("itm_head.",))
    assert len(parts.state) + len(parts.vision) + len(parts.ignored) == len(checkpoint.tensors)
    found = vision_sizes(parts.vision)
    assert (found.tokens, found.hidden_size, found.num_attention_heads) == (257, 1408, 16)
    with torch.device("meta"):
        vision = Blip2Vision({"vision_config": vars_of(found)})
    assert {name: tuple(value.shape) for name, value in vision_state(parts.vision).items()} == shapes(vision)
    assert all(vision_name(name) is not None for name in parts.vision)


def vars_of(sizes: Any) -> dict[str, Any]:
    return {name: getattr(sizes, name) for name in sizes.__slots__}
