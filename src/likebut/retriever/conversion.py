"""Conversion of published retrievers (BLIP-2 stage one, SPRC, PTHA) to model folders."""

from pathlib import Path

import torch
from torch import Tensor

from likebut.errors import InputError
from likebut.models.checkpoint_file import Checkpoint
from likebut.models.converted_preset import VISION_FOLDER, converted_preset, expected_sizes
from likebut.models.lavis import split_checkpoint, vision_sizes, write_vision_folder
from likebut.models.model_folder import save_model_folder
from likebut.models.preset import Preset
from likebut.recipes.schema import Pooling
from likebut.retriever.retriever import RetrieverConfig

_HEADS = {
    "vision_proj.weight": "core.vision_projection.weight",
    "vision_proj.bias": "core.vision_projection.bias",
    "text_proj.weight": "core.text_projection.weight",
    "text_proj.bias": "core.text_projection.bias",
    "temp": "core.temperature",
}
_PROMPTS = {"prompt_tokens": "core.prompt_tokens"}
# The image-text matching head, which neither SPRC nor PTHA uses.
_IGNORED = ("itm_head.",)
_INITIAL_STD = 0.02  # of randomly initialised prompt tokens in the published code


def convert_retriever(
    checkpoint: Checkpoint,
    out: Path,
    kind: str = "ptha",
    pooling: Pooling = "published",
    preset: Preset | None = None,
    heads: int | None = None,
    vision_heads: int | None = None,
    stage_one: bool = False,
) -> list[str]:
    """Write a published retriever's checkpoint as a model folder.

    Args:
        checkpoint: In LAVIS naming.
        out: The folder.
        kind: "ptha" or "sprc".
        pooling: How hop two is pooled.
        preset: Supplies the frozen parts, and the sizes that the checkpoint must have; if None, the sizes are read from
            the checkpoint.
        heads: Attention heads of the query encoder, if they cannot be derived from the checkpoint.
        vision_heads: Attention heads of the vision encoder, likewise.
        stage_one: Whether the checkpoint is one of BLIP-2's stage one, which has no prompt tokens; they are initialised
            at random.

    Returns:
        The ignored keys of the checkpoint.

    Raises:
        InputError: A key is unknown or missing, or has an unexpected shape.
    """
    sizes = expected_sizes(checkpoint, preset, "retriever", heads)
    parts = split_checkpoint(
        checkpoint, sizes, "core.query_encoder.", _HEADS if stage_one else _HEADS | _PROMPTS, _IGNORED
    )
    state = {name: value.float() for name, value in parts.state.items()}
    state["core.temperature"] = state["core.temperature"].reshape(())
    if stage_one:
        state["core.prompt_tokens"] = _fresh_prompts(sizes.query_tokens, sizes.hidden_size)
    _check_heads(checkpoint, state, sizes.hidden_size, sizes.query_tokens)
    vision = vision_sizes(parts.vision, vision_heads) if parts.vision else None
    embedding_size = state["core.text_projection.weight"].shape[0]
    whole = converted_preset(checkpoint.path.stem, sizes, vision, preset, embedding_size, None)
    if vision is not None:
        write_vision_folder(out / VISION_FOLDER, parts.vision, vision)
    config = RetrieverConfig(kind=kind, preset=whole, pooling=pooling)
    save_model_folder(out, config.model_dump(exclude={"weights_sha256"}), state)
    return parts.ignored


def _fresh_prompts(count: int, width: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(0)) * _INITIAL_STD


def _check_heads(checkpoint: Checkpoint, state: dict[str, Tensor], width: int, queries: int) -> None:
    embedding = state["core.text_projection.weight"].shape[0]
    for name, shape in {
        "core.vision_projection.weight": (embedding, width),
        "core.text_projection.weight": (embedding, width),
        "core.vision_projection.bias": (embedding,),
        "core.text_projection.bias": (embedding,),
        "core.prompt_tokens": (queries, width),
    }.items():
        if tuple(state[name].shape) != shape:
            published = {ours: theirs for theirs, ours in (_HEADS | _PROMPTS).items()}[name]
            raise InputError(
                f"{checkpoint.path}: {published} has shape {tuple(state[name].shape)}, where {shape} is expected.",
                "Give the checkpoint of a retriever.",
                "wrong-shape",
            )
