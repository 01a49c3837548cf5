"""Greedy writing on a processor, where a text that has ended costs nothing more."""

import inspect

import torch
from torch import Tensor, nn

from likebut.backbones.language import LanguageModel


@torch.no_grad()
def greedy_ids(language: LanguageModel, prefix: Tensor, min_new_tokens: int, max_new_tokens: int) -> Tensor:
    """Return what transformers' greedy ``generate`` writes after ``prefix``, each row leaving the batch as it ends.

    Texts differ in length, and ``generate`` goes on computing all of them until the longest has ended.

    Args:
        language: A causal language model.
        prefix: (B, S, D) embeddings; every position is real.
        min_new_tokens: The end token is forbidden before this many.
        max_new_tokens: Writing stops after this many.

    Returns:
        (B, up to max_new_tokens) token ids; an end token is followed by padding.
    """
    # Imported here: transformers takes seconds to import.
    from transformers import DynamicCache

    model, cache = language.model, DynamicCache()
    memory = {_cache_name(model.base_model): cache}
    embed, head = model.get_input_embeddings(), model.get_output_embeddings()
    rows = torch.arange(len(prefix), device=prefix.device)
    written = torch.full((len(prefix), max_new_tokens), language.pad_id, device=prefix.device)
    inputs = prefix.to(embed.weight.dtype)
    for place in range(max_new_tokens):
        states = model.base_model(inputs_embeds=inputs, use_cache=True, **memory).last_hidden_state
        scores = head(states[:, -1])
        if place < min_new_tokens:
            scores[:, language.end_id] = float("-inf")
        chosen = scores.argmax(dim=-1)
        written[rows, place] = chosen
        going_on = (chosen != language.end_id).nonzero()[:, 0]
        if len(going_on) == 0:
            return written[:, : place + 1]
        if len(going_on) < len(rows):
            rows, chosen = rows[going_on], chosen[going_on]
            cache.batch_select_indices(going_on)
        inputs = embed(chosen)[:, None]
    return written


def _cache_name(model: nn.Module) -> str:
    # transformers renamed the argument within its fifth version.
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
