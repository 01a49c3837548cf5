"""Writing token by token: greedily on a processor, or many texts of one prefix that share its pass."""

import inspect
from typing import Protocol

import torch
from torch import Tensor, nn

from likebut.models.language import LanguageModel


class Choice(Protocol):
    """How the next token is chosen."""

    def __call__(self, scores: Tensor, rows: Tensor, place: int) -> Tensor:
        """Return the next token of some texts, (R,).

        Args:
            scores: (R, vocabulary) the language model's.
            rows: (R,) which of the texts they are.
            place: How many tokens the texts have already.
        """


@torch.no_grad()
def write_stepwise(
    language: LanguageModel, prefix: Tensor, choose: Choice, max_new_tokens: int, copies: int = 1
) -> Tensor:
    """Return texts written after ``prefix``, each row leaving the batch as it ends.

    Texts differ in length, and transformers' ``generate`` goes on computing all of them until the longest has ended.

    Args:
        language: A causal language model.
        prefix: (B, S, D) embeddings; every position is real.
        choose: Chooses each next token.
        max_new_tokens: Writing stops after this many.
        copies: Texts of each prefix; its pass is made once for all of them.

    Returns:
        (B · copies, up to max_new_tokens) token ids, the copies of a prefix together; an end token is followed by
        padding.
    """
    # Imported here: transformers takes seconds to import.
    from transformers import DynamicCache

    model, cache = language.model, DynamicCache()
    memory = {_cache_name(model.base_model): cache}
    embed, head = model.get_input_embeddings(), model.get_output_embeddings()
    rows = torch.arange(len(prefix) * copies, device=prefix.device)
    written = torch.full((len(rows), max_new_tokens), language.pad_id, device=prefix.device)
    inputs = prefix.to(embed.weight.dtype)
    for place in range(max_new_tokens):
        states = model.base_model(inputs_embeds=inputs, use_cache=True, **memory).last_hidden_state[:, -1]
        if place == 0 and copies > 1:
            states = states.repeat_interleave(copies, dim=0)
            cache.batch_repeat_interleave(copies)
        chosen = choose(head(states), rows, place)
        written[rows, place] = chosen
        going_on = (chosen != language.end_id).nonzero()[:, 0]
        if len(going_on) == 0:
            return written[:, : place + 1]
        if len(going_on) < len(rows):
            rows, chosen = rows[going_on], chosen[going_on]
            cache.batch_select_indices(going_on)
        inputs = embed(chosen)[:, None]
    return written


class Greedy:
    """The likeliest token; the end token not before ``min_new_tokens``."""

    def __init__(self, end_id: int, min_new_tokens: int) -> None:
        self._end_id, self._least = end_id, min_new_tokens

    def __call__(self, scores: Tensor, rows: Tensor, place: int) -> Tensor:
        """As :class:`Choice`."""
        if place < self._least:
            scores[:, self._end_id] = float("-inf")
        return scores.argmax(dim=-1)


class ArithmeticSampling:
    """Texts spread evenly over the language model's distribution, without dice.

    Every text is a number between 0 and 1 in an arithmetic code under the language model; of each prefix those are
    written whose numbers lie at even distances. What share of them says something is then nearer to its probability
    than with independent draws, and depends on nothing but the prefix. After Vilnis et al., "Arithmetic Sampling:
    Parallel Diverse Decoding for Large Language Models" (ICML 2023), without its random offset.

    Args:
        prefixes: How many there are.
        copies: Texts of each.
        device: Of the scores.
    """

    def __init__(self, prefixes: int, copies: int, device: torch.device) -> None:
        even = (torch.arange(copies, dtype=torch.float64, device=device) + 0.5) / copies
        self._codes = even.repeat(prefixes)

    def __call__(self, scores: Tensor, rows: Tensor, place: int) -> Tensor:
        """As :class:`Choice`."""
        up_to = scores.float().softmax(dim=-1).double().cumsum(dim=-1)
        up_to = up_to / up_to[:, -1:]
        codes = self._codes[rows, None]
        chosen = torch.searchsorted(up_to, codes, right=True).clamp(max=up_to.shape[1] - 1)
        begins = torch.where(chosen > 0, up_to.gather(1, (chosen - 1).clamp(min=0)), 0.0)
        width = up_to.gather(1, chosen) - begins
        # Where the code lies within the token's own interval is what the next token is read from.
        self._codes[rows] = ((codes - begins) / width).clamp(0.0, 1.0 - torch.finfo(torch.float64).eps)[:, 0]
        return chosen[:, 0]


def _cache_name(model: nn.Module) -> str:
    # transformers renamed the argument within its fifth version.
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
