"""Baseline: a pretrained dual encoder (CLIP, SigLIP 2, …) that composes by adding, with no training at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from likebut.errors import InputError
from likebut.models.auto_vision import image_preprocessing, image_size, read_auto_model
from likebut.models.hub import find_source, weights_sha256
from likebut.models.tokenizers import TextBatch
from likebut.models.vision import VisionEncoder
from likebut.retriever.base import RetrievalOutputs, TripletBatch

PREFIX = "dual:"
_USUAL_TEMPERATURE = 0.07
_NAME_DIGITS = 12


class DualEncoder(nn.Module):
    """f_q = normalise(w·f_image + (1 - w)·f_text), all of length 1; an image has a single token, its embedding.

    Args:
        model: A transformers model with ``get_text_features``; frozen.
        image_weight: w, in 0…1.
        reads_mask: Whether the text half was trained with a padding mask; SigLIP's was not.
    """

    def __init__(self, model: nn.Module, image_weight: float, reads_mask: bool = True) -> None:
        super().__init__()
        self.model: Any = model.requires_grad_(False)
        self.image_weight = image_weight
        self.reads_mask = reads_mask

    @property
    def temperature(self) -> Tensor:
        """The temperature that the model was trained with."""
        scale = getattr(self.model, "logit_scale", None)
        return torch.tensor(_USUAL_TEMPERATURE) if scale is None else (-scale.detach()).exp().reshape(())

    def embed_targets(self, image_tokens: Tensor) -> Tensor:
        """Return f_t: (B, 1, E) → (B, 1, E)."""
        return functional.normalize(image_tokens, dim=-1)

    def embed_texts(self, text: TextBatch) -> Tensor:
        """Return f_m: (B, L) → (B, E)."""
        mask = {"attention_mask": text.mask} if self.reads_mask else {}
        return functional.normalize(pooled(self.model.get_text_features(input_ids=text.ids, **mask)), dim=-1)

    def embed_queries(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        """Return f_q: (B, 1, E), (B, L) → (B, E)."""
        image = self.embed_targets(image_tokens)[:, 0]
        return functional.normalize(
            self.image_weight * image + (1 - self.image_weight) * self.embed_texts(text), dim=-1
        )

    def forward(self, batch: TripletBatch) -> RetrievalOutputs:
        """Return f_q and f_t, without gradient: there is nothing to train."""
        return RetrievalOutputs(
            query_embeddings=self.embed_queries(batch.reference_tokens, batch.modification),
            target_embeddings=self.embed_targets(batch.target_tokens),
        )


class ImageHalf(nn.Module):
    """The image half of a dual encoder as a vision encoder with a single token."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, S, S) to (B, 1, E)."""
        return pooled(self.model.get_image_features(pixel_values=pixels))[:, None]


class DualTokenizer:
    """A dual encoder's own tokenizer.

    Args:
        tokenizer: transformers'.
        limit: The longest text that the model has positions for.
        pads_to_limit: Whether every text is padded to ``limit``, as in SigLIP's training.
    """

    def __init__(self, tokenizer: Any, limit: int, pads_to_limit: bool) -> None:
        self._tokenizer = tokenizer
        self._limit = limit
        self._pads_to_limit = pads_to_limit

    @property
    def vocabulary_size(self) -> int:
        """Number of ids."""
        return len(self._tokenizer)

    def __call__(self, texts: Sequence[str], max_length: int = 32) -> TextBatch:
        """Return ``texts`` as ids, cut to ``max_length`` tokens."""
        cut = self._tokenizer(list(texts), truncation=True, max_length=min(max_length, self._limit))
        length = {"max_length": self._limit} if self._pads_to_limit else {}
        padded = self._tokenizer.pad(
            cut,
            padding="max_length" if self._pads_to_limit else "longest",
            return_attention_mask=True,
            return_tensors="pt",
            **length,
        )
        return TextBatch(padded["input_ids"], padded["attention_mask"])


def read_dual_encoder(name: str) -> tuple[DualEncoder, VisionEncoder, DualTokenizer]:
    """Return what a retriever needs of the dual encoder called ``name``.

    Args:
        name: ``dual:`` with a hub id or a local folder, and, if it is not to be 0.5, ``@`` and the weight of the
            image: ``dual:openai/clip-vit-base-patch32@0.3``.

    Raises:
        InputError: The weight is no number in 0…1, or the model is no dual encoder.
        MissingWeightsError: The model is neither on this machine nor to be fetched.
    """
    source, weight = _parsed(name)
    folder = find_source(source)
    model: Any = read_auto_model(folder, torch.float32)
    if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
        raise InputError(
            f"{source} is a {type(model).__name__}, which does not embed images and texts alike.",
            "Name a dual encoder, such as CLIP or SigLIP 2.",
        )
    size = image_size(folder)
    siglip = model.config.model_type.startswith("siglip")
    with torch.inference_mode():
        width = pooled(model.get_image_features(pixel_values=torch.zeros(1, 3, size, size))).shape[-1]
    vision = VisionEncoder(
        ImageHalf(model),
        f"dual-{weights_sha256(folder)[:_NAME_DIGITS]}",
        width,
        1,
        image_preprocessing(folder, size),
    )
    tokenizer = DualTokenizer(_read_tokenizer(folder), model.config.text_config.max_position_embeddings, siglip)
    return DualEncoder(model, weight, reads_mask=not siglip), vision, tokenizer


def pooled(features: Any) -> Tensor:
    """Return (B, E): transformers gives an output object here, and gave the tensor itself before."""
    embedding: Tensor = getattr(features, "pooler_output", features)
    return embedding


def _parsed(name: str) -> tuple[str, float]:
    source, _, said = name.removeprefix(PREFIX).partition("@")
    try:
        weight = float(said or 0.5)
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= 1:
        raise InputError(f'"{said}" in {name} is no weight.', "Give the image a weight from 0 to 1, as in @0.3.")
    return source, weight


def _read_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{folder} has no tokenizer ({reason}).", "Give a folder with its tokenizer.json.") from None
