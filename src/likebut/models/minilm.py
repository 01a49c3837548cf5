"""all-MiniLM-L6-v2, a BERT, as the beginning of a query encoder.

Self-attention and the text feed-forward blocks are MiniLM's; the query feed-forward blocks start as copies of the
text's. Cross-attention, the image norm and the query tokens are new.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from likebut.errors import InputError
from likebut.models.query_encoder import QueryEncoder

_INITIAL_STD = 0.02  # BERT's, which BLIP-2 keeps for what it adds
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

    A query encoder knows no token types; a BERT that reads one sentence adds type 0 everywhere, so it is folded into
    the position embeddings. The pooler, which the sentence embedding does not use, is left out.

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
    """Fill ``query_encoder`` with MiniLM's weights, and what MiniLM lacks with fresh ones.

    Fresh values are drawn from torch's global generator; seed it.

    Raises:
        InputError: The weights do not fit the encoder's sizes.
    """
    state = dict(renamed)
    for name, value in renamed.items():
        if ".text_feed_forward." in name or ".text_norm." in name:
            state[name.replace(".text_", ".query_")] = value
    try:
        outcome = query_encoder.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise InputError(f"MiniLM does not fit the query encoder: {error}.", "Mend the preset's sizes.") from None
    odd = [name for name in outcome.missing_keys if not any(part in name for part in _NEW)] + outcome.unexpected_keys
    if odd:
        raise InputError(f"MiniLM does not fit the query encoder: {odd[0]}.", "Mend the preset's sizes.")
    draw_query_tokens(query_encoder)
    for name, module in query_encoder.named_modules():
        if ".cross_attention." in name and isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=_INITIAL_STD)
            nn.init.zeros_(module.bias)


def draw_query_tokens(query_encoder: QueryEncoder) -> None:
    """Give the query tokens small random values, so that they differ from each other."""
    with torch.no_grad():
        query_encoder.query_tokens.normal_(std=_INITIAL_STD)
