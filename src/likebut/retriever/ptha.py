"""PTHA: the two-hop retriever with prototype alignment (Zhou et al., arXiv 2504.05316, section III-C)."""

import torch
from torch import Tensor

from likebut.models.query_encoder import ImageKeyValues
from likebut.models.tokenizers import TextBatch
from likebut.recipes.schema import Pooling
from likebut.retriever.base import ComposedRetriever, RetrieverCore, TrainingQueries, TripletBatch


class TwoHopRetriever(ComposedRetriever):
    """Fuses reference image and text into tokens P, then composes P with the text again into the query.

    P = fuse(V_r, m)[:, :N], f_q = normalise(W_t · pool(compose(P, m))).

    Args:
        core: The parameters.
        pooling: "masked-mean" averages hop two over the N tokens and [CLS] under the real padding mask, in training and
            at inference. "published" follows the published code: the same mean under an all-ones mask in training,
            position N alone under the real mask at inference. "cls" takes position N under the real mask in both, as
            SPRC's published code does.
        text_only_loss: Whether training has the text-only term (λ).
    """

    def __init__(self, core: RetrieverCore, pooling: Pooling = "masked-mean", text_only_loss: bool = True) -> None:
        super().__init__(core, text_only_loss)
        self.pooling = pooling

    def clamp_temperature(self) -> None:
        """Clamp as the base does, unless ``pooling`` is "published": such a checkpoint keeps its temperature."""
        if self.pooling != "published":
            super().clamp_temperature()

    def embed_queries(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        """Return f_q: (B, T, W), (B, L) → (B, E)."""
        return self.second_hop(self.first_hop(image_tokens, text), text)

    def first_hop(self, images: Tensor | ImageKeyValues, text: TextBatch) -> Tensor:
        """Return the tokens of the implicit prototype, P = fuse(V, m)[:, :N]: (B, T, W), (B, L) → (B, N, H)."""
        encoder = self.core.query_encoder
        return encoder.fuse(images, text, read=encoder.config.query_tokens)

    def second_hop(self, prototype_tokens: Tensor, text: TextBatch) -> Tensor:
        """Return f_q: (B, N, H), (B, L) → (B, E)."""
        queries = prototype_tokens.shape[1]
        if self.pooling == "published" and self.training:
            text = TextBatch(text.ids, torch.ones_like(text.mask))
        composed = self.core.query_encoder.compose(prototype_tokens, text, read=queries + 1)
        if self.pooling == "cls" or (self.pooling == "published" and not self.training):
            return self.core.project_query(composed[:, queries])
        return self.core.project_query(composed.mean(dim=1))


class PTHA(TwoHopRetriever):
    """The paper's retriever: two hops, and a prototype loss if the batch has reverse modification texts m'.

    f_r2t = mean_n P is aligned with f_t2r = stop_gradient(mean_n fuse(V_t, m')[:, :N]).
    """

    def training_queries(self, batch: TripletBatch) -> TrainingQueries:
        """Return f_q and (f_r2t, f_t2r); the target images are projected once for both of their uses."""
        tokens = self.first_hop(batch.reference_tokens, batch.modification)
        prototypes = None
        targets = self.core.query_encoder.project_image(batch.target_tokens)
        if batch.reverse_modification is not None:
            with torch.no_grad():
                reverse = self.first_hop(targets, batch.reverse_modification).mean(dim=1)
            prototypes = (tokens.mean(dim=1), reverse)
        return TrainingQueries(self.second_hop(tokens, batch.modification), prototypes, targets)
