"""A Llama of transformers, built from a preset's sizes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from likebut.backbones.preset import LanguageModelPart
from likebut.errors import InputError


def new_llama(sizes: LanguageModelPart, dtype: torch.dtype) -> nn.Module:
    """Return a Llama with random weights, drawn from torch's global generator."""
    config = _config(sizes)
    return _with_exact_rotation(LlamaForCausalLM(config).to(dtype), config)


def fill_llama(sizes: LanguageModelPart, weights: Mapping[str, Tensor], dtype: torch.dtype) -> nn.Module:
    """Return a Llama with ``weights``; its output layer is its word embeddings.

    Raises:
        InputError: The weights do not fit the sizes.
    """
    config = _config(sizes)
    # Without memory at first: drawing random weights that are then thrown away would take longer than all the rest.
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    try:
        state = {name: value.to(dtype) for name, value in weights.items()}
        outcome = model.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:
        raise _misfit(str(error)) from None
    if outcome.unexpected_keys or outcome.missing_keys != ["lm_head.weight"]:
        raise _misfit(f"missing {outcome.missing_keys}, unknown {outcome.unexpected_keys}")
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
        # The tokenizer says which tokens open and close a text; the defaults here are another Llama's.
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def _with_exact_rotation(model: Any, config: LlamaConfig) -> nn.Module:
    # The rotary frequencies are in no checkpoint, and in half precision they would turn far positions wrongly.
    model.model.rotary_emb = LlamaRotaryEmbedding(config=config)
    exact: nn.Module = model
    return exact


def _misfit(reason: str) -> InputError:
    return InputError(f"The weights do not fit the language model: {reason}.", "Mend the preset's sizes.")
