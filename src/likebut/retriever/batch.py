"""What a retriever is trained on, and what it gives back for the losses."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from likebut.backbones.text import TextBatch

# The id that no image has.
NO_IMAGE = -2


@dataclass(frozen=True, slots=True)
class TripletBatch:
    """B triplets as tensors.

    Attributes:
        reference_tokens: (B, T, W) image tokens.
        target_tokens: (B, T, W) image tokens.
        modification: (B, L).
        reverse_modification: (B, L') the text that leads from target back to reference, or None.
        target_ids: (B,) int64, equal for equal target images; with it a loss can mask false negatives.
        hard_negative_tokens: (M, T, W) image tokens of further wrong candidates, or None.
        hard_negative_ids: (M,) int64, numbered as ``target_ids``, or None where they are wrong for every triplet.
        further_target_ids: (B, F) int64, likewise, of the other images that are right for each triplet, filled up with
            :data:`NO_IMAGE`; or None.
    """

    reference_tokens: Tensor
    target_tokens: Tensor
    modification: TextBatch
    reverse_modification: TextBatch | None = None
    target_ids: Tensor | None = None
    hard_negative_tokens: Tensor | None = None
    hard_negative_ids: Tensor | None = None
    further_target_ids: Tensor | None = None

    def to(self, device: torch.device | str) -> "TripletBatch":
        """Return the batch on ``device``."""
        return TripletBatch(
            self.reference_tokens.to(device, non_blocking=True),
            self.target_tokens.to(device, non_blocking=True),
            self.modification.to(device),
            None if self.reverse_modification is None else self.reverse_modification.to(device),
            None if self.target_ids is None else self.target_ids.to(device),
            None if self.hard_negative_tokens is None else self.hard_negative_tokens.to(device, non_blocking=True),
            None if self.hard_negative_ids is None else self.hard_negative_ids.to(device),
            None if self.further_target_ids is None else self.further_target_ids.to(device),
        )


@dataclass(frozen=True, slots=True)
class DescribedBatch:
    """B single images with a caption each, for the captions stage.

    Attributes:
        image_tokens: (B, T, W).
        captions: (B, L).
        image_ids: (B,) int64, equal for equal images.
    """

    image_tokens: Tensor
    captions: TextBatch
    image_ids: Tensor

    def to(self, device: torch.device | str) -> "DescribedBatch":
        """Return the batch on ``device``."""
        return DescribedBatch(
            self.image_tokens.to(device, non_blocking=True), self.captions.to(device), self.image_ids.to(device)
        )


@dataclass(frozen=True, slots=True)
class RetrievalOutputs:
    """What the losses are made of. Embeddings have length 1.

    Attributes:
        query_embeddings: (B, E) f_q.
        target_embeddings: (B, N, E) f_t.
        text_embeddings: (B, E) f_m, or None if the model has no text-only term.
        prototypes: Two (B, H) tensors to be drawn together, the second without gradient, or None.
        hard_negative_embeddings: (M, N, E), or None.
    """

    query_embeddings: Tensor
    target_embeddings: Tensor
    text_embeddings: Tensor | None = None
    prototypes: tuple[Tensor, Tensor] | None = None
    hard_negative_embeddings: Tensor | None = None


class ComposedRetriever(Protocol):
    """What PTHA and every baseline offer; all are ``nn.Module``."""

    @property
    def temperature(self) -> Tensor:
        """The learned temperature that divides every similarity in the losses, a scalar."""

    def embed_targets(self, image_tokens: Tensor) -> Tensor:
        """Return (B, N, E) embeddings of length 1 for (B, T, W) image tokens."""

    def embed_queries(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        """Return (B, E) embeddings of length 1 for reference images and modification texts."""

    def embed_texts(self, text: TextBatch) -> Tensor:
        """Return (B, E) embeddings of length 1 for texts alone."""

    def __call__(self, batch: TripletBatch) -> RetrievalOutputs:
        """Return what the losses need."""
