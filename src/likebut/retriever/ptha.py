"""PTHA: the two-hop retriever with prototype alignment (Zhou et al., arXiv 2504.05316, section III-C)."""

from typing import Literal

import torch
from torch import Tensor, nn

from likebut.models.query_encoder import ImageKeyValues
from likebut.models.tokenizers import TextBatch
from likebut.retriever.base import RetrievalOutputs, RetrieverCore, TripletBatch

Pooling = Literal["masked-mean", "published", "cls"]


class PTHA(nn.Module):
    """The paper's retriever.

    Hop one turns reference image and text into an implicit prototype P of the target; hop two reads P with the
    text again and gives the composed query.

    Args:
        core: Query encoder and heads.
        pooling: "masked-mean" pools hop two alike in training and inference, over the N tokens and [CLS] with the
            real padding mask. "published" does what the published code does: mean over the same positions with an
            all-ones mask when training, position N alone with the real mask at inference. "cls" takes position N
            alone with the real mask in both, as SPRC's published code.
        text_only_loss: Whether training also asks the text alone for the target (the λ term).
    """

    def __init__(self, core: RetrieverCore, pooling: Pooling = "masked-mean", text_only_loss: bool = True) -> None:
        super().__init__()
        self.core = core
        self.pooling = pooling
        self.text_only_loss = text_only_loss

    @property
    def temperature(self) -> Tensor:
        """The learned temperature."""
        return self.core.temperature

    def embed_targets(self, image_tokens: Tensor) -> Tensor:
        """Return f_t: (B, T, W) → (B, N, E)."""
        return self.core.embed_targets(image_tokens)

    def embed_texts(self, text: TextBatch) -> Tensor:
        """Return f_m: (B, L) → (B, E)."""
        return self.core.embed_texts(text)

    def embed_queries(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        """Return f_q from reference image and modification text: (B, T, W), (B, L) → (B, E)."""
        return self._second_hop(self.first_hop(image_tokens, text), text)

    def first_hop(self, images: Tensor | ImageKeyValues, text: TextBatch) -> Tensor:
        """Return the implicit prototype's tokens P = fuse(V, m)[:, :N]: (B, T, W), (B, L) → (B, N, H)."""
        encoder = self.core.query_encoder
        return encoder.fuse(images, text, read=encoder.config.query_tokens)

    def forward(self, batch: TripletBatch) -> RetrievalOutputs:
        """Return f_q, f_t, f_m and, where the batch has reverse texts, the two prototypes."""
        tokens = self.first_hop(batch.reference_tokens, batch.modification)
        prototypes = None
        targets = self.core.query_encoder.project_image(batch.target_tokens)
        if batch.reverse_modification is not None:
            with torch.no_grad():
                reverse = self.first_hop(targets, batch.reverse_modification).mean(dim=1)
            prototypes = (tokens.mean(dim=1), reverse)
        negatives = batch.hard_negative_tokens
        return RetrievalOutputs(
            query_embeddings=self._second_hop(tokens, batch.modification),
            target_embeddings=self.core.embed_targets(targets),
            text_embeddings=self.embed_texts(batch.modification) if self.text_only_loss else None,
            prototypes=prototypes,
            hard_negative_embeddings=None if negatives is None else self.embed_targets(negatives),
        )

    def _second_hop(self, tokens: Tensor, text: TextBatch) -> Tensor:
        return self.core.project_query(pool_second_hop(self.core, tokens, text, self.pooling, self.training))


def pool_second_hop(core: RetrieverCore, tokens: Tensor, text: TextBatch, pooling: Pooling, training: bool) -> Tensor:
    """Return hop two, pooled to one vector: (B, N, H), (B, L) → (B, H); see :class:`PTHA` for ``pooling``."""
    queries = tokens.shape[1]
    if pooling == "published" and training:
        text = TextBatch(text.ids, torch.ones_like(text.mask))
    composed = core.query_encoder.compose(tokens, text, read=queries + 1)
    if pooling == "cls" or (pooling == "published" and not training):
        return composed[:, queries]
    return composed.mean(dim=1)
