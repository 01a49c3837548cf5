"""The EVA-CLIP vision encoder of published checkpoints, under the names of transformers' ``Blip2VisionModel``."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from likebut.errors import InputError

_STEM = {
    "visual_encoder.cls_token": "embeddings.class_embedding",
    "visual_encoder.pos_embed": "embeddings.position_embedding",
    "visual_encoder.patch_embed.proj.weight": "embeddings.patch_embedding.weight",
    "visual_encoder.patch_embed.proj.bias": "embeddings.patch_embedding.bias",
}
_BLOCK_PARTS = {
    "norm1.weight": "layer_norm1.weight",
    "norm1.bias": "layer_norm1.bias",
    "norm2.weight": "layer_norm2.weight",
    "norm2.bias": "layer_norm2.bias",
    "attn.qkv.weight": "self_attn.qkv.weight",
    "attn.q_bias": "self_attn.qkv.bias",
    "attn.v_bias": "self_attn.qkv.bias",
    "attn.proj.weight": "self_attn.projection.weight",
    "attn.proj.bias": "self_attn.projection.bias",
    "mlp.fc1.weight": "mlp.fc1.weight",
    "mlp.fc1.bias": "mlp.fc1.bias",
    "mlp.fc2.weight": "mlp.fc2.weight",
    "mlp.fc2.bias": "mlp.fc2.bias",
}
_BLOCK = re.compile(r"visual_encoder\.blocks\.(\d+)\.(.+)$")


def vision_name(key: str) -> str | None:
    """Return what ``Blip2VisionModel`` calls a LAVIS ``key``, or None if the key is not the vision encoder's."""
    if key in _STEM:
        return _STEM[key]
    found = _BLOCK.match(key)
    if found is None or found[2] not in _BLOCK_PARTS:
        return None
    return f"encoder.layers.{found[1]}.{_BLOCK_PARTS[found[2]]}"


def vision_state(checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the vision encoder's part of a LAVIS checkpoint under ``Blip2VisionModel``'s names.

    EVA-CLIP's queries and values have a bias and its keys have none; transformers keeps one bias for the three.

    Raises:
        InputError: A block has one of the two biases only.
    """
    state = {}
    for key, value in checkpoint.items():
        name = vision_name(key)
        if name is None or key.endswith(".attn.v_bias"):
            continue
        if key.endswith(".attn.q_bias"):
            other = checkpoint.get(key.replace("q_bias", "v_bias"))
            if other is None:
                raise InputError(f"The checkpoint has {key} but no v_bias beside it.", "Fetch it again.")
            value = torch.cat([value, torch.zeros_like(other), other])
        state[name] = value
    return state
