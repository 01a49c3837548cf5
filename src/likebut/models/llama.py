"""Llama models of presets: conversion of GGUF files, and construction with pretrained or random weights.

transformers' ``gguf_file=`` gives bit-identical weights of SmolLM2, but takes twice as long, and its handling of packed
weights changes between versions, whereas a converted part must stay the same.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from likebut.errors import InputError
from likebut.models.preset import LanguageModelPart

_LAYER_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTSIDE_LAYERS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_CONTROL_TOKEN = 3  # llama.cpp's token type of tokens that text never produces


def convert_gguf(path: Path) -> tuple[dict[str, Tensor], str]:
    """Return the weights of a GGUF file in bf16 under transformers' names, and the content of ``tokenizer.json``.

    Raises:
        InputError: The file has another architecture or another kind of tokenizer.
    """
    from gguf import GGUFReader
    from gguf.quants import dequantize

    reader = GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    _require(path, fields, "general.architecture", "llama")
    heads, key_value_heads = fields["llama.attention.head_count"], fields["llama.attention.head_count_kv"]
    weights = {}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        if tensor.name.endswith("attn_q.weight"):
            values = unpermute_rotary(values, heads)
        elif tensor.name.endswith("attn_k.weight"):
            values = unpermute_rotary(values, key_value_heads)
        weights[_transformers_name(tensor.name)] = torch.from_numpy(np.array(values)).bfloat16()
    return weights, _byte_level_tokenizer(path, fields)


def unpermute_rotary(weight: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Undo llama.cpp's permutation of the rows of a query or key projection.

    llama.cpp rotates adjacent dimensions (0, 1), (2, 3) …; transformers rotates dimension i with i + half. Writing the
    file interleaved the rows of each head.

    Args:
        weight: (heads · head size, width).
        heads: Number of heads.
    """
    rows, width = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, width)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows, width)


def _transformers_name(name: str) -> str:
    if name in _OUTSIDE_LAYERS:
        return _OUTSIDE_LAYERS[name]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{_LAYER_PARTS[part]}.{kind}"


def _byte_level_tokenizer(path: Path, fields: Mapping[str, Any]) -> str:
    """Return SmolLM's tokenizer: byte-level BPE, one token per digit, special tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    _require(path, fields, "tokenizer.ggml.model", "gpt2")
    _require(path, fields, "tokenizer.ggml.pre", "smollm")
    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    types = fields["tokenizer.ggml.token_type"]
    control = [token for token, kind in zip(tokens, types, strict=True) if kind == _CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    text: str = tokenizer.to_str(pretty=True)
    return text


def _require(path: Path, fields: Mapping[str, Any], key: str, wanted: str) -> None:
    if fields.get(key) != wanted:
        raise InputError(f'{path.name}: {key} is "{fields.get(key)}", not "{wanted}".', "Use another GGUF file.")


def new_llama(sizes: LanguageModelPart, dtype: torch.dtype) -> nn.Module:
    """Return a Llama with random weights from PyTorch's global generator."""
    config = _config(sizes)
    return _with_exact_rotation(LlamaForCausalLM(config).to(dtype), config)


def fill_llama(sizes: LanguageModelPart, weights: Mapping[str, Tensor], dtype: torch.dtype) -> nn.Module:
    """Return a Llama with ``weights`` and tied embeddings.

    Raises:
        InputError: The weights do not match the sizes.
    """
    config = _config(sizes)
    # On the meta device: initialising random weights would take longer than everything else.
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    try:
        state = {name: value.to(dtype) for name, value in weights.items()}
        outcome = model.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:
        raise _mismatch(str(error)) from None
    if outcome.unexpected_keys or outcome.missing_keys != ["lm_head.weight"]:
        raise _mismatch(f"missing {outcome.missing_keys}, unknown {outcome.unexpected_keys}")
    model.tie_weights()
    return _with_exact_rotation(model, config)


def _config(sizes: LanguageModelPart) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=sizes.vocabulary_size,
        hidden_size=sizes.hidden_size,
        intermediate_size=sizes.intermediate_size,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.key_value_heads,
        max_position_embeddings=sizes.max_positions,
        rms_norm_eps=sizes.rms_norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": sizes.rope_theta},
        tie_word_embeddings=True,
        attn_implementation="sdpa",
        # The tokenizer defines the special tokens; the defaults are those of another Llama.
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def _with_exact_rotation(model: Any, config: LlamaConfig) -> nn.Module:
    # The rotary frequencies are not in checkpoints, and half precision would misplace distant positions.
    model.model.rotary_emb = LlamaRotaryEmbedding(config=config)
    exact: nn.Module = model
    return exact


def _mismatch(reason: str) -> InputError:
    return InputError(
        f"The weights do not match the language model: {reason}.", "Fix the sizes in the preset.", "parameter-mismatch"
    )
