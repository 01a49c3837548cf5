"""The frozen language model that writes."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
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


class WritingModel(Protocol):
    """What is asked of a transformers language model, causal or encoder-decoder."""

    @property
    def config(self) -> Any:
        """Its sizes, and whether it ``is_encoder_decoder``."""

    @property
    def base_model(self) -> Any:
        """The model without what makes logits of its states."""

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the embeddings of its words."""

    def get_output_embeddings(self) -> nn.Module:
        """Return what makes logits of states."""

    def __call__(self, **inputs: Any) -> Any:
        """Return an output with ``logits``."""


class LanguageModel:
    """A language model with its tokenizer.

    Args:
        model: A transformers language model, causal or encoder-decoder; it is frozen and put into evaluation mode.
        tokenizer: Its tokenizer.
        opening_ids: Special tokens that the model expects before its input.
        closing_ids: Likewise, after it.

    Attributes:
        model: As given. Not a sub-module of anything: its weights belong to no checkpoint.
        width: D, the width of its embeddings.
        end_id: Id of the token that closes a text.
        pad_id: Id that fills a batch; it may be the end's, so tell padding by a mask.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: LanguageTokenizer,
        opening_ids: Sequence[int] = (),
        closing_ids: Sequence[int] = (),
    ) -> None:
        self.model = cast(Any, model.requires_grad_(False).eval())
        self.model.get_output_embeddings().register_forward_pre_hook(_contiguous)
        self.tokenizer = tokenizer
        self.opening_ids, self.closing_ids = opening_ids, closing_ids
        self.width: int = self.model.config.hidden_size
        self.end_id = tokenizer.end_id
        self.pad_id = tokenizer.pad_id

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether the model reads all of its input before it writes, as T5 does."""
        return bool(self.model.config.is_encoder_decoder)

    def to(self, target: torch.device | torch.dtype | str) -> None:
        """Move the model to a device, or to a precision; one in 8 or 4 bits stays where and as it was loaded."""
        if not getattr(self.model, "is_quantized", False):
            self.model.to(target)

    def instruction_ids(self, instruction: str) -> list[int]:
        """Return the ids of an instruction, between the special tokens that the model expects around its input."""
        return [*self.opening_ids, *self.encode([instruction])[0], *self.closing_ids]

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
