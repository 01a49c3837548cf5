"""Conversion of published checkpoints in LAVIS naming: parameter names, sizes, vision encoder.

BLIP-2 stage one, SPRC and MTST/PTHA were trained in LAVIS and share its names. Every key is renamed or explicitly
ignored; an unknown or missing key is an error, so that no checkpoint is loaded partially.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from likebut.errors import InputError
from likebut.files import atomic_path, write_json
from likebut.models.blip2 import VISION_PREFIX
from likebut.models.checkpoint_file import Checkpoint
from likebut.models.query_encoder import QueryEncoder, QueryEncoderConfig

_LAYER_PARTS = {
    "attention.self.query": "attention.query",
    "attention.self.key": "attention.key",
    "attention.self.value": "attention.value",
    "attention.output.dense": "attention.output",
    "attention.output.LayerNorm": "attention_norm",
    "crossattention.self.query": "cross_attention.query",
    "crossattention.self.key": "cross_attention.key",
    "crossattention.self.value": "cross_attention.value",
    "crossattention.output.dense": "cross_attention.output",
    "crossattention.output.LayerNorm": "cross_norm",
    "intermediate.dense": "text_feed_forward.up",
    "output.dense": "text_feed_forward.down",
    "output.LayerNorm": "text_norm",
    "intermediate_query.dense": "query_feed_forward.up",
    "output_query.dense": "query_feed_forward.down",
    "output_query.LayerNorm": "query_norm",
}
_WORDS = "Qformer.bert.embeddings.word_embeddings.weight"
_POSITIONS = "Qformer.bert.embeddings.position_embeddings.weight"
_EMBEDDINGS = {
    _WORDS: "embeddings.word.weight",
    _POSITIONS: "embeddings.position.weight",
    "Qformer.bert.embeddings.LayerNorm.weight": "embeddings.norm.weight",
    "Qformer.bert.embeddings.LayerNorm.bias": "embeddings.norm.bias",
    "ln_vision.weight": "image_norm.weight",
    "ln_vision.bias": "image_norm.bias",
    "query_tokens": "query_tokens",
}
_LAYER = re.compile(r"Qformer\.bert\.encoder\.layer\.(\d+)\.(.+)\.(weight|bias)$")
_HEAD_WIDTH = 64  # in BERT and all published query encoders
# The masked-language-modelling head of BLIP-2 stage one, and a buffer that older versions stored.
IGNORED = ("Qformer.cls.", "Qformer.bert.embeddings.position_ids")


_VISION_STEM = {
    "visual_encoder.cls_token": "embeddings.class_embedding",
    "visual_encoder.pos_embed": "embeddings.position_embedding",
    "visual_encoder.patch_embed.proj.weight": "embeddings.patch_embedding.weight",
    "visual_encoder.patch_embed.proj.bias": "embeddings.patch_embedding.bias",
}
_VISION_BLOCK_PARTS = {
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
_VISION_HEADS = {1408: 16}  # EVA-CLIP ViT-g
_VISION_BLOCK = re.compile(r"visual_encoder\.blocks\.(\d+)\.(.+)$")


@dataclass(frozen=True, slots=True)
class LavisParts:
    """The parts of a checkpoint.

    Attributes:
        state: Tensors by likebut's names, those of the query encoder with the requested prefix.
        vision: Tensors of the vision encoder by LAVIS name; empty if the checkpoint has none.
        ignored: Ignored keys.
    """

    state: dict[str, Tensor]
    vision: dict[str, Tensor]
    ignored: list[str]


@dataclass(frozen=True, slots=True)
class VisionSizes:
    """Sizes of ``Blip2VisionModel``, by transformers' names."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    image_size: int
    patch_size: int
    qkv_bias: bool

    @property
    def tokens(self) -> int:
        """T, including the class token."""
        return (self.image_size // self.patch_size) ** 2 + 1


def query_encoder_name(key: str) -> str | None:
    """Return the query encoder's name of a LAVIS ``key``, or None for keys of other modules."""
    if key in _EMBEDDINGS:
        return _EMBEDDINGS[key]
    found = _LAYER.match(key)
    if found is None or found[2] not in _LAYER_PARTS:
        return None
    return f"layers.{found[1]}.{_LAYER_PARTS[found[2]]}.{found[3]}"


def query_encoder_sizes(checkpoint: Checkpoint, heads: int | None = None) -> QueryEncoderConfig:
    """Return the query encoder's sizes from the shapes of the tensors.

    Args:
        checkpoint: A checkpoint in LAVIS naming.
        heads: Number of attention heads, which the shapes do not determine; by default that of the file's metadata,
            else width / 64.

    Raises:
        InputError: A required tensor is missing, or the number of heads is unknown.
    """
    layers = sorted({int(found[1]) for key in checkpoint.tensors if (found := _LAYER.match(key))})
    attending = [
        i for i in layers if f"Qformer.bert.encoder.layer.{i}.crossattention.self.key.weight" in checkpoint.tensors
    ]
    queries, width = _shape(checkpoint, "query_tokens")[-2:]
    config = checkpoint.config
    if config.get("activation", "gelu") != "gelu":
        raise InputError(
            f"{checkpoint.path} was trained with {config['activation']}, not gelu.", "Use another checkpoint."
        )
    return QueryEncoderConfig(
        hidden_size=width,
        layers=len(layers),
        heads=heads or config.get("num_attention_heads") or _default_heads(checkpoint, width),
        intermediate_size=_shape(checkpoint, "Qformer.bert.encoder.layer.0.intermediate_query.dense.weight")[0],
        query_tokens=queries,
        image_width=_shape(checkpoint, "ln_vision.weight")[0],
        vocabulary_size=_shape(checkpoint, _WORDS)[0],
        max_positions=_shape(checkpoint, _POSITIONS)[0],
        cross_attention_every=attending[1] if len(attending) > 1 else len(layers),
        layer_norm_eps=config.get("layer_norm_eps", 1e-12),
    )


def split_checkpoint(
    checkpoint: Checkpoint,
    sizes: QueryEncoderConfig,
    prefix: str,
    heads: Mapping[str, str],
    ignored: Sequence[str],
) -> LavisParts:
    """Rename or ignore every key of a checkpoint.

    Args:
        checkpoint: A checkpoint in LAVIS naming.
        sizes: Sizes of the query encoder.
        prefix: Prefix of the query encoder's names.
        heads: LAVIS name → likebut's name of all other required tensors.
        ignored: Prefixes of ignored keys, in addition to :data:`IGNORED`.

    Raises:
        InputError: A key is unknown or missing, or its shape does not match ``sizes``.
    """
    expected = {prefix + name: shape for name, shape in _expected_shapes(sizes).items()}
    state, vision, skipped, unknown = {}, {}, [], []
    for key, value in checkpoint.tensors.items():
        if (name := query_encoder_name(key)) is not None and prefix + name in expected:
            state[prefix + name] = _without_batch_axis(value) if name == "query_tokens" else value
        elif key in heads:
            state[heads[key]] = _without_batch_axis(value) if key == "prompt_tokens" else value
        elif key.startswith((*IGNORED, *ignored)):
            skipped.append(key)
        elif vision_name(key) is not None:
            vision[key] = value
        else:
            unknown.append(key)
    missing = [name for name in (*expected, *heads.values()) if name not in state]
    _check_names(checkpoint, unknown, missing, lambda name: _published_name(name, prefix, heads))
    for name, shape in expected.items():
        if tuple(state[name].shape) != shape:
            raise InputError(
                f"{checkpoint.path}: {_published_name(name, prefix, heads)} has shape {tuple(state[name].shape)}, "
                f"expected {shape}.",
                "Give the preset that the checkpoint was trained with, or none.",
                code="preset-mismatch",
            )
    return LavisParts(state, vision, skipped)


def vision_name(key: str) -> str | None:
    """Return ``Blip2VisionModel``'s name of a LAVIS ``key``, or None for keys of other modules."""
    if key in _VISION_STEM:
        return _VISION_STEM[key]
    found = _VISION_BLOCK.match(key)
    if found is None or found[2] not in _VISION_BLOCK_PARTS:
        return None
    return f"encoder.layers.{found[1]}.{_VISION_BLOCK_PARTS[found[2]]}"


def vision_state(checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the vision encoder of a LAVIS checkpoint under ``Blip2VisionModel``'s names.

    In EVA-CLIP queries and values have a bias and keys have none; transformers stores one bias for all three.

    Args:
        checkpoint: Tensors by LAVIS name, complete (:func:`vision_sizes` checks this).
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


def vision_sizes(checkpoint: Mapping[str, Tensor], heads: int | None = None) -> VisionSizes:
    """Return the vision encoder's sizes from the shapes of the tensors.

    Args:
        checkpoint: Tensors by LAVIS name.
        heads: Number of attention heads, which the shapes do not determine; by default that of the known encoder
            of this width.

    Raises:
        InputError: A tensor is missing, or the number of heads is unknown.
    """
    blocks = 1 + max((int(found[1]) for key in checkpoint if (found := _VISION_BLOCK.match(key))), default=0)
    biased = "visual_encoder.blocks.0.attn.q_bias" in checkpoint
    parts = [part for part in _VISION_BLOCK_PARTS if biased or part not in ("attn.q_bias", "attn.v_bias")]
    needed = [*_VISION_STEM, *(f"visual_encoder.blocks.{index}.{part}" for index in range(blocks) for part in parts)]
    missing = [key for key in needed if key not in checkpoint]
    if missing:
        raise InputError(f"The checkpoint's vision encoder lacks {missing[0]}.", "Download it again.")
    width, _, patch, _ = checkpoint["visual_encoder.patch_embed.proj.weight"].shape
    heads = _VISION_HEADS.get(width) if heads is None else heads
    if heads is None:
        raise InputError(
            f"The number of attention heads of the vision encoder is unknown for width {width}.",
            "Give it with --vision-heads.",
            code="unknown-heads",
        )
    if heads < 1 or width % heads:
        raise InputError(
            f"The vision encoder's width {width} is not divisible by {heads} attention heads.",
            "Give another number with --vision-heads.",
            code="unknown-heads",
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
    """Write the vision encoder as a vision-only BLIP-2 model in the hub's layout."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {VISION_PREFIX + name: value.contiguous() for name, value in vision_state(checkpoint).items()}
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(state, temporary)
    write_json(folder / "config.json", {"model_type": "blip-2", "vision_config": asdict(sizes)})


def _expected_shapes(sizes: QueryEncoderConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        encoder = QueryEncoder(sizes)
    return {name: tuple(value.shape) for name, value in encoder.state_dict().items()}


def _check_names(
    checkpoint: Checkpoint, unknown: Iterable[str], missing: Iterable[str], published: Callable[[str], str]
) -> None:
    for kind, names in (("has the unknown key", list(unknown)), ("lacks", [published(name) for name in missing])):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise InputError(
                f"{checkpoint.path} {kind} {names[0]}{more}.",
                "Give a checkpoint in LAVIS naming (BLIP-2 stage one, SPRC, MTST or PTHA) and its job.",
                code="key-mismatch",
            )


def _published_name(name: str, prefix: str, heads: Mapping[str, str]) -> str:
    """Return the LAVIS name of ``name``, for messages."""
    inverse = {ours: theirs for theirs, ours in heads.items()} | {v: k for k, v in _EMBEDDINGS.items()}
    own = name.removeprefix(prefix)
    if name in inverse or own in inverse:
        return inverse.get(name) or inverse[own]
    _, index, part = own.split(".", 2)
    module, _, kind = part.rpartition(".")
    theirs = {ours: published for published, ours in _LAYER_PARTS.items()}[module]
    return f"Qformer.bert.encoder.layer.{index}.{theirs}.{kind}"


def _without_batch_axis(tokens: Tensor) -> Tensor:
    return tokens.reshape(tokens.shape[-2:])


def _shape(checkpoint: Checkpoint, key: str) -> tuple[int, ...]:
    if key not in checkpoint.tensors:
        raise InputError(
            f"{checkpoint.path} lacks {key}.",
            "Give a checkpoint in LAVIS naming (BLIP-2 stage one, SPRC, MTST or PTHA) and its job.",
            code="key-mismatch",
        )
    return tuple(checkpoint.tensors[key].shape)


def _default_heads(checkpoint: Checkpoint, width: int) -> int:
    if width % _HEAD_WIDTH:
        raise InputError(
            f"The number of attention heads of {checkpoint.path} is unknown for width {width}.",
            "Give it with --heads.",
            code="unknown-heads",
        )
    return width // _HEAD_WIDTH
