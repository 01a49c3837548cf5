"""Baseline: the reference image alone, the modification text unread."""

from torch import Tensor, nn

from likebut.backbones.text import TextBatch
from likebut.retriever.batch import RetrievalOutputs, TripletBatch
from likebut.retriever.core import RetrieverCore


class ImageOnly(nn.Module):
    """Finds images like the reference: f_q = normalise(W_t · mean of encode_image(V_r))."""

    def __init__(self, core: RetrieverCore) -> None:
        super().__init__()
        self.core = core

    @property
    def temperature(self) -> Tensor:
        """The learned temperature."""
        return self.core.temperature

    def embed_targets(self, image_tokens: Tensor) -> Tensor:
        """Return f_t: (B, T, W) → (B, N, E)."""
        return self.core.embed_targets(image_tokens)

    def embed_texts(self, text: TextBatch) -> Tensor:
        """Return f_m: (B, L) → (B, E); this baseline never trains it."""
        return self.core.embed_texts(text)

    def embed_queries(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        """Return f_q from the reference image: (B, T, W) → (B, E)."""
        return self.core.project_query(self.core.image_prototype(image_tokens))

    def forward(self, batch: TripletBatch) -> RetrievalOutputs:
        """Return f_q and f_t."""
        return RetrievalOutputs(
            query_embeddings=self.embed_queries(batch.reference_tokens, batch.modification),
            target_embeddings=self.embed_targets(batch.target_tokens),
        )
