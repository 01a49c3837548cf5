"""Names of the published checkpoints (LAVIS) and what they are called here.

BLIP-2 stage one, SPRC and MTST/PTHA were all trained in LAVIS and share its names. Every key is either renamed or
ignored by name; an unknown or missing key is an error, so that nothing is ever loaded half.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

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
_EMBEDDINGS = {
    "Qformer.bert.embeddings.word_embeddings.weight": "embeddings.word.weight",
    "Qformer.bert.embeddings.position_embeddings.weight": "embeddings.position.weight",
    "Qformer.bert.embeddings.LayerNorm.weight": "embeddings.norm.weight",
    "Qformer.bert.embeddings.LayerNorm.bias": "embeddings.norm.bias",
    "ln_vision.weight": "image_norm.weight",
    "ln_vision.bias": "image_norm.bias",
    "query_tokens": "query_tokens",
}
_LAYER = re.compile(r"Qformer\.bert\.encoder\.layer\.(\d+)\.(.+)\.(weight|bias)$")


def query_encoder_name(key: str) -> str | None:
    """Return what the query encoder calls a LAVIS ``key``, or None if the key is not the query encoder's."""
    if key in _EMBEDDINGS:
        return _EMBEDDINGS[key]
    found = _LAYER.match(key)
    if found is None or found[2] not in _LAYER_PARTS:
        return None
    return f"layers.{found[1]}.{_LAYER_PARTS[found[2]]}.{found[3]}"


def query_encoder_state(checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the query encoder's part of a LAVIS checkpoint under the names used here.

    LAVIS gives query and prompt tokens a leading axis of 1, which goes.
    """
    state = {}
    for key, value in checkpoint.items():
        name = query_encoder_name(key)
        if name is not None:
            state[name] = value.squeeze(0) if name == "query_tokens" else value
    return state


def unused_keys(checkpoint: Iterable[str], used: Iterable[str]) -> list[str]:
    """Return the keys of a checkpoint that nothing took, in order."""
    taken = set(used)
    return [key for key in checkpoint if key not in taken]
