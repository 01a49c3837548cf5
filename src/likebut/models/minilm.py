"""Initialising a query encoder from all-MiniLM-L6-v2, a BERT.

Self-attention and text feed-forward blocks are MiniLM's; query feed-forward blocks start as copies of the text ones.
Cross-attention, the image norm and the query tokens are initialised randomly.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from likebut.errors import InputError
from likebut.models.query_encoder import QueryEncoder

_INITIAL_STD = 0.02  # of BERT, and of the layers that BLIP-2 adds
_LAYER_PARTS = {
    "attention.self.query": "attention.query",
    "attention.self.key": "attention.key",
    "attention.self.value": "attention.value",
    "attention.output.dense": "attention.output",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "text_feed_forward.up",
    "output.dense": "text_feed_forward.down",
    "output.LayerNorm": "text_norm",
}
_NEW = ("query_tokens", "image_norm.", "cross_attention.", "cross_norm.")


def rename_minilm(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return MiniLM's tensors under the query encoder's names.

    A query encoder has no token types. A BERT adds type 0 to every token of a single sentence, so type 0 is folded into
    the position embeddings. The pooler, which the sentence embedding does not use, is omitted.

    Raises:
        KeyError: A tensor is missing.
    """
    positions = published["embeddings.position_embeddings.weight"]
    state = {
        "embeddings.word.weight": published["embeddings.word_embeddings.weight"],
        "embeddings.position.weight": positions + published["embeddings.token_type_embeddings.weight"][0],
        "embeddings.norm.weight": published["embeddings.LayerNorm.weight"],
        "embeddings.norm.bias": published["embeddings.LayerNorm.bias"],
    }
    layers = 1 + max(int(name.split(".")[2]) for name in published if name.startswith("encoder.layer."))
    for index in range(layers):
        for theirs, ours in _LAYER_PARTS.items():
            for kind in ("weight", "bias"):
                state[f"layers.{index}.{ours}.{kind}"] = published[f"encoder.layer.{index}.{theirs}.{kind}"]
    return state


def start_from_minilm(query_encoder: QueryEncoder, renamed: Mapping[str, Tensor]) -> None:
    """Copy MiniLM's weights into ``query_encoder`` and initialise the others.

    Random values come from PyTorch's global generator; seed it first.

    Raises:
        InputError: The weights do not match the encoder's sizes.
    """
    state = dict(renamed)
    for name, value in renamed.items():
        if ".text_feed_forward." in name or ".text_norm." in name:
            state[name.replace(".text_", ".query_")] = value
    try:
        outcome = query_encoder.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise InputError(
            f"MiniLM does not match the query encoder: {error}.", "Fix the sizes in the preset.", "parameter-mismatch"
        ) from None
    missing = [name for name in outcome.missing_keys if not any(part in name for part in _NEW)]
    unexpected = missing + outcome.unexpected_keys
    if unexpected:
        raise InputError(
            f"MiniLM does not match the query encoder: {unexpected[0]}.",
            "Fix the sizes in the preset.",
            "parameter-mismatch",
        )
    draw_query_tokens(query_encoder)
    for name, module in query_encoder.named_modules():
        if ".cross_attention." in name and isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=_INITIAL_STD)
            nn.init.zeros_(module.bias)


def draw_query_tokens(query_encoder: QueryEncoder) -> None:
    """Initialise the query tokens randomly, so that they differ."""
    with torch.no_grad():
        query_encoder.query_tokens.normal_(std=_INITIAL_STD)
