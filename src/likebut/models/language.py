"""The frozen language model of a generator, with its tokenizer."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn


class LanguageTokenizer(Protocol):
    """Converts text to the ids of a language model and back."""

    @property
    def end_id(self) -> int:
        """Id of the end-of-text token."""

    @property
    def pad_id(self) -> int:
        """Id of padding; it may equal ``end_id``."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without special tokens."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, without special tokens."""


class WritingModel(Protocol):
    """The interface of a transformers language model that decoding and losses use."""

    @property
    def config(self) -> Any:
        """The transformers configuration."""

    @property
    def base_model(self) -> Any:
        """The model without its output layer."""

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the token embeddings."""

    def get_output_embeddings(self) -> nn.Module:
        """Return the output layer, which maps states to logits."""

    def __call__(self, **inputs: Any) -> Any:
        """Return an output with ``logits``."""


class LanguageModel:
    """A frozen language model with its tokenizer.

    It is not an ``nn.Module``, so that its weights are not part of a generator's checkpoint.

    Args:
        model: A transformers language model, causal or encoder-decoder; it is frozen and set to evaluation mode.
        tokenizer: Its tokenizer.
        opening_ids: Special tokens that the model expects before its input.
        closing_ids: Special tokens that the model expects after its input.

    Attributes:
        model: The model.
        width: Width of the token embeddings.
        end_id: Id of the end-of-text token.
        pad_id: Id of padding; it may equal ``end_id``, so use masks to detect padding.
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
        """Whether the model is an encoder-decoder such as T5."""
        return bool(self.model.config.is_encoder_decoder)

    def to(self, target: torch.device | torch.dtype | str) -> None:
        """Move the model to a device or a dtype; a quantised model keeps the device and dtype it was loaded with."""
        if not getattr(self.model, "is_quantized", False):
            self.model.to(target)

    def instruction_ids(self, instruction: str) -> list[int]:
        """Return the ids of an instruction, with the special tokens that the model expects around its input."""
        return [*self.opening_ids, *self.encode([instruction])[0], *self.closing_ids]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without special tokens."""
        return self.tokenizer.encode(texts)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, without special tokens."""
        return self.tokenizer.decode(ids)


def _contiguous(module: nn.Module, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Make the inputs of the output layer contiguous.

    ``generate`` passes a slice, for which PyTorch multiplies row by row, each with a copy of the vocabulary weights:
    half of the decoding time.
    """
    return tuple(state.contiguous() for state in states)
