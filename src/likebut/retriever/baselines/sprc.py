"""Baseline: SPRC, "Sentence-level Prompts Benefit Composed Image Retrieval" (Bai et al., ICLR 2024)."""

from torch import Tensor, nn

from likebut.backbones.text import TextBatch
from likebut.retriever.batch import RetrievalOutputs, TripletBatch
from likebut.retriever.core import RetrieverCore
from likebut.retriever.model import Pooling, pool_second_hop


class SPRC(nn.Module):
    """Two hops as in PTHA; hop one's mean is drawn to the mean of the learned text prompts.

    L = CE(f_q) + 0.4·CE(f_m) + 0.4·MSE(mean fused tokens, stop_gradient(mean prompt tokens)).

    Args:
        core: Query encoder and heads; its prompt tokens are the sentence-level prompt.
        pooling: As in PTHA.
    """

    def __init__(self, core: RetrieverCore, pooling: Pooling = "masked-mean") -> None:
        super().__init__()
        self.core = core
        self.pooling = pooling

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
        return self._second_hop(self._first_hop(image_tokens, text), text)

    def forward(self, batch: TripletBatch) -> RetrievalOutputs:
        """Return f_q, f_t, f_m, and the fused mean beside the prompts' mean."""
        tokens = self._first_hop(batch.reference_tokens, batch.modification)
        fused = tokens.mean(dim=1)
        prompt = self.core.prompt_tokens.mean(dim=0).detach().expand_as(fused)
        return RetrievalOutputs(
            query_embeddings=self._second_hop(tokens, batch.modification),
            target_embeddings=self.embed_targets(batch.target_tokens),
            text_embeddings=self.embed_texts(batch.modification),
            prototypes=(fused, prompt),
        )

    def _first_hop(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        encoder = self.core.query_encoder
        return encoder.fuse(image_tokens, text, read=encoder.config.query_tokens)

    def _second_hop(self, tokens: Tensor, text: TextBatch) -> Tensor:
        return self.core.project_query(pool_second_hop(self.core, tokens, text, self.pooling, self.training))
