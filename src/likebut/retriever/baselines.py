"""The baselines that PTHA is compared with; each differs from it in how a query is embedded."""

from torch import Tensor
from torch.nn import functional

from likebut.models.tokenizers import TextBatch
from likebut.recipes.schema import Pooling
from likebut.retriever.base import ComposedRetriever, RetrieverCore, TrainingQueries, TripletBatch
from likebut.retriever.ptha import TwoHopRetriever


class ImageOnly(ComposedRetriever):
    """Reference image alone: f_q = normalise(W_t · mean of encode_image(V_r))."""

    def embed_queries(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        """Return f_q: (B, T, W) → (B, E); the text is not read."""
        return self.core.project_image_query(image_tokens)


class TextOnly(ComposedRetriever):
    """Modification text alone: f_q = f_m."""

    def embed_queries(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        """Return f_q: (B, L) → (B, E); the image is not read."""
        return self.core.embed_texts(text)


class ImageTextSum(ComposedRetriever):
    """Late fusion: f_q = normalise(normalise(W_t · mean of encode_image(V_r)) + f_m)."""

    def embed_queries(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        """Return f_q: (B, T, W), (B, L) → (B, E)."""
        image = self.core.project_image_query(image_tokens)
        return functional.normalize(image + self.core.embed_texts(text), dim=-1)


class OneHop(ComposedRetriever):
    """PTHA without hop two: f_q = normalise(W_t · mean over the N query tokens and [CLS] of fuse(V_r, m))."""

    def __init__(self, core: RetrieverCore, text_only_loss: bool = True) -> None:
        super().__init__(core, text_only_loss)

    def embed_queries(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        """Return f_q: (B, T, W), (B, L) → (B, E)."""
        encoder = self.core.query_encoder
        fused = encoder.fuse(image_tokens, text, read=encoder.config.query_tokens + 1)
        return self.core.project_query(fused.mean(dim=1))


class SPRC(TwoHopRetriever):
    """Two hops as in PTHA; the prototype is aligned with the mean of the learned text prompts.

    L = CE(f_q) + 0.4·CE(f_m) + 0.4·MSE(mean fused tokens, stop_gradient(mean prompt tokens)).

    Args:
        core: The parameters; its prompt tokens are the sentence-level prompt.
        pooling: How hop two is pooled, see :class:`~likebut.retriever.ptha.TwoHopRetriever`.
    """

    def __init__(self, core: RetrieverCore, pooling: Pooling = "masked-mean") -> None:
        super().__init__(core, pooling, text_only_loss=True)

    def training_queries(self, batch: TripletBatch) -> TrainingQueries:
        """Return f_q and (mean of the fused tokens, mean of the prompts)."""
        tokens = self.first_hop(batch.reference_tokens, batch.modification)
        fused = tokens.mean(dim=1)
        prompt = self.core.prompt_tokens.mean(dim=0).detach().expand_as(fused)
        return TrainingQueries(self.second_hop(tokens, batch.modification), (fused, prompt))
