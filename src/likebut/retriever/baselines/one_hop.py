"""Baseline: one hop, without the prototype loss."""

from torch import Tensor, nn

from likebut.backbones.text import TextBatch
from likebut.retriever.batch import RetrievalOutputs, TripletBatch
from likebut.retriever.core import RetrieverCore


class OneHop(nn.Module):
    """f_q = normalise(W_t · mean over the N query tokens and [CLS] of fuse(V_r, m))."""

    def __init__(self, core: RetrieverCore, text_only_loss: bool = True) -> None:
        super().__init__()
        self.core = core
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
        """Return f_q: (B, T, W), (B, L) → (B, E)."""
        encoder = self.core.query_encoder
        fused = encoder.fuse(image_tokens, text, read=encoder.config.query_tokens + 1)
        return self.core.project_query(fused.mean(dim=1))

    def forward(self, batch: TripletBatch) -> RetrievalOutputs:
        """Return f_q, f_t and f_m."""
        return RetrievalOutputs(
            query_embeddings=self.embed_queries(batch.reference_tokens, batch.modification),
            target_embeddings=self.embed_targets(batch.target_tokens),
            text_embeddings=self.embed_texts(batch.modification) if self.text_only_loss else None,
        )
