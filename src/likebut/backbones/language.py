"""The frozen language model that writes."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

from torch import Tensor, nn


class LanguageTokenizer(Protocol):
    """Turns text into a language model's ids and back."""

    @property
    def end_id(self) -> int:
        """Id of the token that closes a text."""

    @property
    def pad_id(self) -> int:
        """Id that fills a batch; it may be the end's."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without special tokens around it."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, leaving out special tokens."""


class LanguageModel:
    """A causal language model with its tokenizer.

    Args:
        model: A transformers causal language model; it is frozen and put into evaluation mode.
        tokenizer: Its tokenizer.

    Attributes:
        model: As given. Not a sub-module of anything: its weights belong to no checkpoint.
        width: D, the width of its embeddings.
        end_id: Id of the token that closes a text.
        pad_id: Id that fills a batch; it may be the end's, so tell padding by a mask.
    """

    def __init__(self, model: nn.Module, tokenizer: LanguageTokenizer) -> None:
        self.model = cast(Any, model.requires_grad_(False).eval())
        self.model.get_output_embeddings().register_forward_pre_hook(_contiguous)
        self.tokenizer = tokenizer
        self.width: int = self.model.config.hidden_size
        self.end_id = tokenizer.end_id
        self.pad_id = tokenizer.pad_id

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without special tokens around it."""
        return self.tokenizer.encode(texts)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, leaving out special tokens."""
        return self.tokenizer.decode(ids)


def _contiguous(module: nn.Module, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Lay the states that are about to become logits out contiguously.

    ``generate`` hands over a slice, for which torch multiplies batch by batch, each with its own copy of the
    vocabulary's weights: half the time of writing a text.
    """
    return tuple(state.contiguous() for state in states)
