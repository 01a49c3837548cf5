"""Baseline: the reference image alone, the modification text unread."""

from torch import Tensor, nn
from torch.nn import functional

from likebut.models.tokenizers import TextBatch
from likebut.retriever.base import RetrievalOutputs, RetrieverCore, TripletBatch
from likebut.retriever.ptha import Pooling, pool_second_hop


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


class ImageTextSum(nn.Module):
    """f_q = normalise(normalise(W_t · mean of encode_image(V_r)) + f_m)."""

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
        """Return f_q: (B, T, W), (B, L) → (B, E)."""
        image = self.core.project_query(self.core.image_prototype(image_tokens))
        return functional.normalize(image + self.embed_texts(text), dim=-1)

    def forward(self, batch: TripletBatch) -> RetrievalOutputs:
        """Return f_q and f_t."""
        return RetrievalOutputs(
            query_embeddings=self.embed_queries(batch.reference_tokens, batch.modification),
            target_embeddings=self.embed_targets(batch.target_tokens),
        )


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
