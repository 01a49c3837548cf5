"""Baseline: a pretrained dual encoder (CLIP, SigLIP 2, …) that composes queries by adding, without training."""

import copy
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
_DEFAULT_WEIGHT = 0.5
_DEFAULT_TEMPERATURE = 0.07
_HASH_DIGITS = 12


class DualEncoder(nn.Module):
    """f_q = normalise(w·f_image + (1 - w)·f_text), all L2-normalised; an image has one token, its embedding.

    Args:
        model: A transformers model with ``get_text_features``; frozen.
        image_weight: w in [0, 1].
        uses_mask: Whether the text encoder was trained with a padding mask. SigLIP's was not.
    """

    def __init__(self, model: nn.Module, image_weight: float, uses_mask: bool = True) -> None:
        super().__init__()
        self.model: Any = model.requires_grad_(False)
        self.image_weight = image_weight
        self.uses_mask = uses_mask

    @property
    def temperature(self) -> Tensor:
        """The temperature that the model was trained with."""
        scale = getattr(self.model, "logit_scale", None)
        return torch.tensor(_DEFAULT_TEMPERATURE) if scale is None else (-scale.detach()).exp().reshape(())

    def embed_targets(self, image_tokens: Tensor) -> Tensor:
        """Return f_t: (B, 1, E) → (B, 1, E)."""
        return functional.normalize(image_tokens, dim=-1)

    def embed_texts(self, text: TextBatch) -> Tensor:
        """Return f_m: (B, L) → (B, E)."""
        mask = {"attention_mask": text.mask} if self.uses_mask else {}
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


class DualVision(nn.Module):
    """The image encoder of a dual encoder, as a vision encoder with a single token."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, S, S) to (B, 1, E)."""
        return pooled(self.model.get_image_features(pixel_values=pixels))[:, None]


class DualTokenizer:
    """The tokenizer of a dual encoder.

    Args:
        tokenizer: A transformers tokenizer.
        limit: Maximum number of tokens that the model reads.
        pads_to_limit: Whether every text is padded to ``limit``, as in SigLIP's training.
    """

    def __init__(self, tokenizer: Any, limit: int, pads_to_limit: bool) -> None:
        self._tokenizer = tokenizer
        # Truncation is state of a fast tokenizer, which must not change while another thread uses it.
        self._untruncated = copy.deepcopy(tokenizer)
        self._limit = limit
        self._pads_to_limit = pads_to_limit

    @property
    def vocabulary_size(self) -> int:
        """Number of ids."""
        return len(self._tokenizer)

    def __call__(self, texts: Sequence[str], max_length: int | None = None) -> TextBatch:
        """Return ``texts`` as ids, truncated to ``max_length`` tokens and in any case to the model's limit."""
        length = self._limit if max_length is None else min(max_length, self._limit)
        truncated = self._tokenizer(list(texts), truncation=True, max_length=length)
        padded = self._tokenizer.pad(
            truncated,
            padding="max_length" if self._pads_to_limit else "longest",
            return_attention_mask=True,
            return_tensors="pt",
            **({"max_length": self._limit} if self._pads_to_limit else {}),
        )
        return TextBatch(padded["input_ids"], padded["attention_mask"])

    def is_truncated(self, text: str, max_length: int | None = None) -> bool:
        """Return whether a text has more tokens than the tokenizer returns of it."""
        length = self._limit if max_length is None else min(max_length, self._limit)
        return len(self._untruncated(text, verbose=False)["input_ids"]) > length


def read_dual_encoder(name: str) -> tuple[DualEncoder, VisionEncoder, DualTokenizer]:
    """Load the parts of a retriever from a dual encoder.

    Args:
        name: ``dual:`` and a hub id or a local folder, optionally followed by ``@`` and the weight of the image (0.5
            by default): ``dual:openai/clip-vit-base-patch32@0.3``.

    Raises:
        InputError: The weight is not in [0, 1], or the model is not a dual encoder.
        MissingWeightsError: The model is neither on this machine nor available from the hub.
    """
    source, suffix = _split(name)
    weight = _parse_weight(suffix, name)
    folder = find_source(source)
    model: Any = read_auto_model(folder, torch.float32)
    if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
        raise InputError(
            f"{source} is a {type(model).__name__}, which does not embed images and texts in one space.",
            "Name a dual encoder, such as CLIP or SigLIP 2.",
            code="not-a-dual-encoder",
        )
    size = image_size(folder)
    is_siglip = model.config.model_type.startswith("siglip")
    with torch.inference_mode():
        width = pooled(model.get_image_features(pixel_values=torch.zeros(1, 3, size, size))).shape[-1]
    vision = VisionEncoder(
        DualVision(model),
        f"dual-{weights_sha256(folder)[:_HASH_DIGITS]}",
        width,
        1,
        image_preprocessing(folder, size),
    )
    tokenizer = _read_tokenizer(folder)
    # Some text encoders have position embeddings that no token uses; their tokenizers know the usable length.
    limit = min(model.config.text_config.max_position_embeddings, tokenizer.model_max_length)
    return DualEncoder(model, weight, not is_siglip), vision, DualTokenizer(tokenizer, limit, is_siglip)


def absolute_name(name: str) -> str:
    """Return the name of a dual encoder with a local folder made absolute; a hub id stays as it is."""
    source, weight = _split(name)
    folder = Path(source).expanduser()
    return f"{PREFIX}{folder.absolute()}{weight and '@' + weight}" if folder.is_dir() else name


def pooled(features: Any) -> Tensor:
    """Return (B, E) from the result of ``get_*_features``, which is a tensor in some versions of transformers."""
    embedding: Tensor = getattr(features, "pooler_output", features)
    return embedding


def _split(name: str) -> tuple[str, str]:
    """Return the source in a name, and the text of the weight, which may be empty."""
    whole = name.removeprefix(PREFIX)
    source, _, weight = whole.rpartition("@")
    # The path of a folder may contain "@" as well.
    has_weight = bool(source) and "/" not in weight and not Path(whole).expanduser().is_dir()
    return (source, weight) if has_weight else (whole, "")


def _parse_weight(text: str, name: str) -> float:
    try:
        weight = float(text or _DEFAULT_WEIGHT)
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= 1:
        raise InputError(
            f'"{text}" in {name} is not a weight.',
            "Give the weight of the image as a number from 0 to 1, as in @0.3.",
            code="invalid-image-weight",
        )
    return weight


def _read_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            f"{folder} has no tokenizer ({reason}).",
            "Give a folder with a tokenizer.json.",
            code="missing-tokenizer",
        ) from None
