"""Parts of BLIP-2 and InstructBLIP in transformers' format: vision encoder, query encoder, projections.

The two models differ in parameter names and projections; sizes and semantics are the same.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likebut.errors import InputError
from likebut.files import read_json
from likebut.models.hub import read_tensors
from likebut.models.query_encoder import QueryEncoder, QueryEncoderConfig

VISION_PREFIX = "vision_model."
_LAYER_PARTS = {
    "attention.attention.query": "attention.query",
    "attention.attention.key": "attention.key",
    "attention.attention.value": "attention.value",
    "attention.output.dense": "attention.output",
    "attention.output.LayerNorm": "attention_norm",
    "crossattention.attention.query": "cross_attention.query",
    "crossattention.attention.key": "cross_attention.key",
    "crossattention.attention.value": "cross_attention.value",
    "crossattention.output.dense": "cross_attention.output",
    "crossattention.output.LayerNorm": "cross_norm",
    "intermediate.dense": "text_feed_forward.up",
    "output.dense": "text_feed_forward.down",
    "output.LayerNorm": "text_norm",
    "intermediate_query.dense": "query_feed_forward.up",
    "output_query.dense": "query_feed_forward.down",
    "output_query.LayerNorm": "query_norm",
}
# BLIP-2 stores the text embeddings outside the query encoder, InstructBLIP inside it.
_MODULES = {
    "embeddings.word_embeddings": "embeddings.word",
    "embeddings.position_embeddings": "embeddings.position",
    "qformer.layernorm": "embeddings.norm",
    "qformer.embeddings.word_embeddings": "embeddings.word",
    "qformer.embeddings.position_embeddings": "embeddings.position",
    "qformer.embeddings.layernorm": "embeddings.norm",
    "vision_model.post_layernorm": "image_norm",
}
_HEADS = {
    "blip-2": {"vision_projection": "vision_projection", "text_projection": "text_projection"},
    "instructblip": {"language_projection": "projection"},
}
_VISION_SETTINGS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "image_size",
    "patch_size",
    "hidden_act",
    "layer_norm_eps",
    "qkv_bias",
)
_QUERY_ENCODER_SETTINGS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_dropout_prob",
    "max_position_embeddings",
    "layer_norm_eps",
    "cross_attention_frequency",
)
_LAYER = re.compile(r"qformer\.encoder\.layer\.(\d+)\.(.+)$")


class Blip2Vision(nn.Module):
    """The vision encoder without its final LayerNorm, which is the query encoder's ``image_norm``.

    Args:
        config: ``config.json`` of the whole model.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        from transformers import Blip2VisionConfig, Blip2VisionModel

        model = Blip2VisionModel(Blip2VisionConfig(**_known(config, "vision_config", _VISION_SETTINGS)))
        self.embeddings, self.encoder = model.embeddings, model.encoder
        self.width: int = model.config.hidden_size
        self.tokens: int = model.embeddings.num_positions
        self.size: int = model.config.image_size

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, S, S) to (B, T, W); the first token is the class token."""
        tokens: Tensor = self.encoder(self.embeddings(pixels)).last_hidden_state
        return tokens


def read_blip2_config(folder: Path) -> dict[str, Any]:
    """Return ``config.json`` of a BLIP-2 or InstructBLIP model.

    Raises:
        InputError: The folder has another kind of model.
    """
    config = read_json(folder / "config.json")
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in _HEADS:
        raise InputError(
            f"{folder} has a {kind} model, not {' or '.join(_HEADS)}.",
            "Use another source in the preset.",
            "wrong-model",
        )
    return dict(config)


def query_encoder_config(config: Mapping[str, Any]) -> QueryEncoderConfig:
    """Return the query encoder's sizes from ``config.json``, which may omit defaults."""
    from transformers import Blip2QFormerConfig, Blip2VisionConfig

    # InstructBLIP's settings have the same names and defaults.
    sizes = Blip2QFormerConfig(**_known(config, "qformer_config", _QUERY_ENCODER_SETTINGS))
    vision = Blip2VisionConfig(**_known(config, "vision_config", _VISION_SETTINGS))
    return QueryEncoderConfig(
        hidden_size=sizes.hidden_size,
        layers=sizes.num_hidden_layers,
        heads=sizes.num_attention_heads,
        intermediate_size=sizes.intermediate_size,
        query_tokens=config.get("num_query_tokens", 32),
        image_width=vision.hidden_size,
        vocabulary_size=sizes.vocab_size,
        max_positions=sizes.max_position_embeddings,
        cross_attention_every=sizes.cross_attention_frequency,
        layer_norm_eps=sizes.layer_norm_eps,
        image_norm_eps=vision.layer_norm_eps,
        dropout=sizes.hidden_dropout_prob,
    )


def query_encoder_name(key: str) -> str | None:
    """Return the query encoder's name of a transformers ``key``, or None for keys of other modules."""
    if key == "query_tokens":
        return key
    module, _, kind = key.rpartition(".")
    if module in _MODULES:
        return f"{_MODULES[module]}.{kind}"
    found = _LAYER.match(module)
    if found is None or found[2] not in _LAYER_PARTS:
        return None
    return f"layers.{found[1]}.{_LAYER_PARTS[found[2]]}.{kind}"


def read_query_encoder(folder: Path, sizes: QueryEncoderConfig) -> QueryEncoder:
    """Return the pretrained query encoder of a BLIP-2 or InstructBLIP model, in fp32.

    Args:
        folder: A model in the hub's layout.
        sizes: The required sizes; dropout and the image norm's ε are taken from here.

    Raises:
        InputError: The sizes differ, or a parameter is missing, as in a BLIP-2 model without its text parameters.
    """
    found = query_encoder_config(read_blip2_config(folder))
    for field in fields(found):
        mine, theirs = getattr(sizes, field.name), getattr(found, field.name)
        if mine != theirs and field.name not in ("dropout", "image_norm_eps"):
            raise InputError(
                f"The query encoder in {folder} has {field.name} {theirs}, but the preset has {mine}.",
                "Use another source or other sizes in the preset.",
                code="preset-mismatch",
            )
    encoder = QueryEncoder(sizes)
    tensors = read_tensors(folder, ("query_tokens", "embeddings.", "qformer.", "vision_model.post_layernorm."))
    state = {name: value.float() for key, value in tensors.items() if (name := query_encoder_name(key)) is not None}
    if "query_tokens" in state:
        state["query_tokens"] = state["query_tokens"].squeeze(0)
    _check(folder, encoder, state)
    encoder.load_state_dict(state)
    return encoder


def read_blip2_vision(folder: Path, precision: torch.dtype) -> Blip2Vision:
    """Return the pretrained vision encoder of a BLIP-2 or InstructBLIP model in ``precision``."""
    with torch.device("meta"):
        vision = Blip2Vision(read_blip2_config(folder))
    tensors = read_tensors(folder, (f"{VISION_PREFIX}embeddings.", f"{VISION_PREFIX}encoder."))
    state = {name.removeprefix(VISION_PREFIX): value.to(precision) for name, value in tensors.items()}
    _check(folder, vision, state)
    vision.load_state_dict(state, assign=True)
    return vision


def read_heads(folder: Path) -> dict[str, Tensor]:
    """Return the projections in fp32 by their names in the retriever or the generator."""
    heads = _HEADS[read_blip2_config(folder)["model_type"]]
    return {
        f"{heads[module]}.{kind}": value.float()
        for name, value in read_tensors(folder, [f"{head}." for head in heads]).items()
        for module, _, kind in [name.rpartition(".")]
    }


def _known(config: Mapping[str, Any], part: str, settings: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in (config.get(part) or {}).items() if name in settings}


def _check(folder: Path, module: nn.Module, state: Mapping[str, Tensor]) -> None:
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    for name, shape in expected.items():
        found = tuple(state[name].shape) if name in state else None
        if found != shape:
            fault = "lacks" if found is None else f"has shape {found} for"
            raise InputError(
                f"{folder} {fault} the parameter {name}, expected shape {shape}.",
                "Use a model with text parameters: Salesforce/blip2-itm-vit-g has them, captioning models do not.",
                code="parameter-mismatch",
            )
    unknown = sorted(state.keys() - expected.keys())
    if unknown:
        raise InputError(f"{folder} has the unknown parameter {unknown[0]}.", "Use another source in the preset.")
