"""What PTHA and its baselines share: query encoder, projections, text prompts, temperature."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from likebut.models.query_encoder import ImageKeyValues, QueryEncoder
from likebut.models.tokenizers import TextBatch

INITIAL_TEMPERATURE = 0.07


class RetrieverCore(nn.Module):
    """One shared query encoder with the heads around it.

    Args:
        query_encoder: Shared by the reference, the target and the text.
        embedding_size: E.
        prompts: How many learned prompt tokens the text-only pass has; the published code has as many as query tokens.
    """

    def __init__(self, query_encoder: QueryEncoder, embedding_size: int, prompts: int | None = None) -> None:
        super().__init__()
        width = query_encoder.config.hidden_size
        prompts = query_encoder.config.query_tokens if prompts is None else prompts
        self.query_encoder = query_encoder
        self.vision_projection = nn.Linear(width, embedding_size)
        self.text_projection = nn.Linear(width, embedding_size)
        self.prompt_tokens = nn.Parameter(torch.randn(prompts, width) * 0.02)
        self.temperature = nn.Parameter(torch.tensor(INITIAL_TEMPERATURE))

    def embed_targets(self, images: Tensor | ImageKeyValues) -> Tensor:
        """Return f_t = normalise(W_v · encode_image(V_t)): (B, T, W) → (B, N, E)."""
        return _l2_normalise(self.vision_projection(self.query_encoder.encode_image(images)))

    def embed_texts(self, text: TextBatch) -> Tensor:
        """Return f_m = normalise(W_t · encode_text(m, prompts)): (B, L) → (B, E)."""
        states = self.query_encoder.encode_text(text, self.prompt_tokens, read=1)
        return self.project_query(states[:, 0])

    def project_query(self, pooled: Tensor) -> Tensor:
        """Return normalise(W_t · pooled): (B, H) → (B, E)."""
        return _l2_normalise(self.text_projection(pooled))

    def image_prototype(self, image_tokens: Tensor) -> Tensor:
        """Return the mean of the query tokens that looked at an image: (B, T, W) → (B, H)."""
        return self.query_encoder.encode_image(image_tokens).mean(dim=1)


def _l2_normalise(projected: Tensor) -> Tensor:
    # An autocast on a processor would divide in bf16 and leave lengths that differ by half a percent.
    return functional.normalize(projected.float(), dim=-1)


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
class ImageTextBatch:
    """B single images with a caption each, for the captions stage.

    Attributes:
        image_tokens: (B, T, W).
        captions: (B, L).
        image_ids: (B,) int64, equal for equal images.
    """

    image_tokens: Tensor
    captions: TextBatch
    image_ids: Tensor

    def to(self, device: torch.device | str) -> "ImageTextBatch":
        """Return the batch on ``device``."""
        return ImageTextBatch(
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


def similarity(query_embeddings: Tensor, target_embeddings: Tensor) -> Tensor:
    """Return the similarity of every query with every target: the best of the target's N tokens.

    similarity(f, target) = max over n of ⟨f, f_t[n]⟩ (BLIP-2 and the paper's published code).

    Args:
        query_embeddings: (Q, E), of length 1.
        target_embeddings: (G, N, E), of length 1.

    Returns:
        (Q, G), in -1…1.
    """
    per_token = torch.einsum("qe,gne->qgn", query_embeddings, target_embeddings)
    return per_token.amax(dim=2)
