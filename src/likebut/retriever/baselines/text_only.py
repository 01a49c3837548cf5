"""Baseline: the modification text alone, the reference image unseen."""

from torch import Tensor, nn

from likebut.backbones.text import TextBatch
from likebut.retriever.batch import RetrievalOutputs, TripletBatch
from likebut.retriever.core import RetrieverCore


class TextOnly(nn.Module):
    """Finds images that fit the text: f_q = f_m."""

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
        """Return f_m: (B, L) → (B, E)."""
        return self.core.embed_texts(text)

    def embed_queries(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        """Return f_q = f_m: (B, L) → (B, E)."""
        return self.embed_texts(text)

    def forward(self, batch: TripletBatch) -> RetrievalOutputs:
        """Return f_q and f_t."""
        return RetrievalOutputs(
            query_embeddings=self.embed_texts(batch.modification),
            target_embeddings=self.embed_targets(batch.target_tokens),
        )
