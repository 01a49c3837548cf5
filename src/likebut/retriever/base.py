"""The shared base of PTHA and its baselines: query encoder, projection heads, forward pass, batches and outputs."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from likebut.models.query_encoder import ImageKeyValues, QueryEncoder
from likebut.models.tokenizers import TextBatch

INITIAL_TEMPERATURE = 0.07
# open_clip clamps its logit scale, 1 / temperature, to at most 100 after every optimizer step.
MIN_TEMPERATURE = 0.01
# The id that no image has: fills up rows of ``TripletBatch.further_target_ids``.
NO_IMAGE = -2
# The id of a hard negative that is nobody's target.
NO_TARGET = -1


@dataclass(frozen=True, slots=True)
class TripletBatch:
    """B triplets as tensors.

    Attributes:
        reference_tokens: (B, T, W) image tokens.
        target_tokens: (B, T, W) image tokens.
        modification: (B, L).
        reverse_modification: (B, L') text that leads from target to reference, or None.
        target_ids: (B,) int64, equal for equal target images, so that a loss can mask false negatives; or None.
        hard_negative_tokens: (M, T, W) image tokens of hard negatives, listed or mined, or None.
        hard_negative_ids: (M,) int64, numbered as ``target_ids``; None if no hard negative is a target of the batch.
        further_target_ids: (B, F) int64, numbered as ``target_ids``: the other correct images of each triplet, padded
            with :data:`NO_IMAGE`; or None.
    """

    reference_tokens: Tensor
    target_tokens: Tensor
    modification: TextBatch
    reverse_modification: TextBatch | None = None
    target_ids: Tensor | None = None
    hard_negative_tokens: Tensor | None = None
    hard_negative_ids: Tensor | None = None
    further_target_ids: Tensor | None = None


@dataclass(frozen=True, slots=True)
class ImageTextBatch:
    """B images with a caption each, for the captions stage.

    Attributes:
        image_tokens: (B, T, W).
        captions: (B, L).
        image_ids: (B,) int64, equal for equal images.
    """

    image_tokens: Tensor
    captions: TextBatch
    image_ids: Tensor


@dataclass(frozen=True, slots=True)
class RetrievalOutputs:
    """The inputs of the losses. Embeddings are L2-normalised.

    Attributes:
        query_embeddings: (B, E) f_q.
        target_embeddings: (B, N, E) f_t.
        text_embeddings: (B, E) f_m, or None if the model has no text-only term.
        prototypes: (B, H) prototype and (B, H) fixed prototype without gradient for the prototype loss, or None.
        hard_negative_embeddings: (M, N, E), or None if the batch has no hard negatives.
    """

    query_embeddings: Tensor
    target_embeddings: Tensor
    text_embeddings: Tensor | None = None
    prototypes: tuple[Tensor, Tensor] | None = None
    hard_negative_embeddings: Tensor | None = None


class TrainingQueries(NamedTuple):
    """The queries of a training batch.

    Attributes:
        embeddings: (B, E) f_q.
        prototypes: As in :class:`RetrievalOutputs`.
        projected_targets: Keys and values of the target images, if the model has computed them already.
    """

    embeddings: Tensor
    prototypes: tuple[Tensor, Tensor] | None = None
    projected_targets: ImageKeyValues | None = None


class RetrievalModel(Protocol):
    """What :class:`~likebut.retriever.retriever.Retriever` and the losses need of a model, trained here or not."""

    @property
    def temperature(self) -> Tensor:
        """Scalar that divides every similarity in the losses."""

    def embed_targets(self, image_tokens: Tensor) -> Tensor:
        """Return L2-normalised target embeddings: (B, T, W) → (B, N, E)."""

    def embed_queries(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        """Return L2-normalised composed queries: (B, T, W), (B, L) → (B, E)."""

    def embed_texts(self, text: TextBatch) -> Tensor:
        """Return L2-normalised queries from text alone: (B, L) → (B, E)."""

    def __call__(self, batch: TripletBatch) -> RetrievalOutputs:
        """Return the inputs of the losses."""


class RetrieverCore(nn.Module):
    """The parameters of a retriever: one shared query encoder, projection heads, text prompts and temperature.

    Args:
        query_encoder: Shared by reference, target and text.
        embedding_size: E.
        prompts: Number of learned prompt tokens of the text-only pass; the published code has as many as query tokens.
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

    def project_image_query(self, image_tokens: Tensor) -> Tensor:
        """Return normalise(W_t · mean of encode_image(V)), an image as a query: (B, T, W) → (B, E)."""
        return self.project_query(self.query_encoder.encode_image(image_tokens).mean(dim=1))


class ComposedRetriever(nn.Module):
    """Base of PTHA and the baselines. A subclass defines how a query is embedded.

    Args:
        core: The parameters.
        text_only_loss: Whether training has the text-only term (λ).
    """

    def __init__(self, core: RetrieverCore, text_only_loss: bool = False) -> None:
        super().__init__()
        self.core = core
        self.text_only_loss = text_only_loss

    @property
    def temperature(self) -> Tensor:
        """Scalar that divides every similarity in the losses."""
        return self.core.temperature

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Raise the temperature to :data:`MIN_TEMPERATURE` if it is lower; called after every optimizer step."""
        self.core.temperature.clamp_(min=MIN_TEMPERATURE)

    def embed_targets(self, image_tokens: Tensor) -> Tensor:
        """Return f_t: (B, T, W) → (B, N, E)."""
        return self.core.embed_targets(image_tokens)

    def embed_texts(self, text: TextBatch) -> Tensor:
        """Return f_m: (B, L) → (B, E)."""
        return self.core.embed_texts(text)

    def embed_queries(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        """Return f_q: (B, T, W), (B, L) → (B, E)."""
        raise NotImplementedError

    def training_queries(self, batch: TripletBatch) -> TrainingQueries:
        """Return f_q, and what a model with further losses computes along with it."""
        return TrainingQueries(self.embed_queries(batch.reference_tokens, batch.modification))

    def forward(self, batch: TripletBatch) -> RetrievalOutputs:
        """Return the inputs of the losses."""
        queries = self.training_queries(batch)
        targets = batch.target_tokens if queries.projected_targets is None else queries.projected_targets
        negatives = batch.hard_negative_tokens
        return RetrievalOutputs(
            query_embeddings=queries.embeddings,
            target_embeddings=self.core.embed_targets(targets),
            text_embeddings=self.embed_texts(batch.modification) if self.text_only_loss else None,
            prototypes=queries.prototypes,
            hard_negative_embeddings=None if negatives is None else self.core.embed_targets(negatives),
        )


def similarity(query_embeddings: Tensor, target_embeddings: Tensor) -> Tensor:
    """Return the similarity of every query with every target, the maximum over the target's N tokens.

    similarity(f, target) = max over n of ⟨f, f_t[n]⟩ (BLIP-2 and the paper's published code).

    Args:
        query_embeddings: (Q, E), L2-normalised.
        target_embeddings: (G, N, E), L2-normalised.

    Returns:
        (Q, G), in -1…1.
    """
    per_token = torch.einsum("qe,gne->qgn", query_embeddings, target_embeddings)
    return per_token.amax(dim=2)


def _l2_normalise(projected: Tensor) -> Tensor:
    # Autocast on a CPU would divide in bf16, and norms would differ from 1 by half a percent.
    return functional.normalize(projected.float(), dim=-1)
