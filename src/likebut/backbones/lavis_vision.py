"""The EVA-CLIP vision encoder of published checkpoints, under the names of transformers' ``Blip2VisionModel``."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from likebut.backbones.blip2_parts import VISION_PREFIX
from likebut.errors import InputError
from likebut.files import atomic_path, write_json

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
_USUAL_HEADS = {1408: 16}  # EVA-CLIP ViT-g
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

    Args:
        checkpoint: Complete, as :func:`vision_sizes` has checked.
    """
    state = {}
    for key, value in checkpoint.items():
        name = vision_name(key)
        if name is None or key.endswith(".attn.v_bias"):
            continue
        if key.endswith(".attn.q_bias"):
            other = checkpoint[key.replace("q_bias", "v_bias")]
            value = torch.cat([value, torch.zeros_like(other), other])
        state[name] = value
    return state


@dataclass(frozen=True, slots=True)
class VisionSizes:
    """What ``Blip2VisionModel`` is built from, by transformers' names."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    image_size: int
    patch_size: int
    qkv_bias: bool

    @property
    def tokens(self) -> int:
        """T, the class token included."""
        return (self.image_size // self.patch_size) ** 2 + 1


def vision_sizes(checkpoint: Mapping[str, Tensor], heads: int | None = None) -> VisionSizes:
    """Return the vision encoder's sizes, read off the shapes.

    Args:
        checkpoint: LAVIS names.
        heads: Attention heads, which no shape tells; if none, those of the encoder that has this width.

    Raises:
        InputError: A tensor is missing, or the number of heads cannot be told.
    """
    blocks = 1 + max((int(found[1]) for key in checkpoint if (found := _BLOCK.match(key))), default=0)
    biased = "visual_encoder.blocks.0.attn.q_bias" in checkpoint
    parts = [part for part in _BLOCK_PARTS if biased or part not in ("attn.q_bias", "attn.v_bias")]
    needed = [*_STEM, *(f"visual_encoder.blocks.{index}.{part}" for index in range(blocks) for part in parts)]
    missing = [key for key in needed if key not in checkpoint]
    if missing:
        raise InputError(f"The checkpoint's vision encoder lacks {missing[0]}.", "Fetch it again.")
    width, _, patch, _ = checkpoint["visual_encoder.patch_embed.proj.weight"].shape
    heads = _USUAL_HEADS.get(width) if heads is None else heads
    if heads is None:
        raise InputError(
            f"The vision encoder's number of attention heads cannot be told from its width {width}.",
            "Say it with --vision-heads.",
        )
    if heads < 1 or width % heads:
        raise InputError(
            f"The vision encoder's width {width} is not divisible among {heads} attention heads.",
            "Give --vision-heads another number.",
        )
    side = round((checkpoint["visual_encoder.pos_embed"].shape[-2] - 1) ** 0.5)
    return VisionSizes(
        hidden_size=width,
        intermediate_size=checkpoint["visual_encoder.blocks.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        image_size=side * patch,
        patch_size=patch,
        qkv_bias=biased,
    )


def write_vision_folder(folder: Path, checkpoint: Mapping[str, Tensor], sizes: VisionSizes) -> None:
    """Write the vision encoder as the vision half of a BLIP-2 model in the hub's layout."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {VISION_PREFIX + name: value.contiguous() for name, value in vision_state(checkpoint).items()}
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(state, temporary)
    write_json(folder / "config.json", {"model_type": "blip-2", "vision_config": asdict(sizes)})
