"""What PTHA and its baselines share: query encoder, projections, text prompts, temperature."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from likebut.backbones.query_encoder import QueryEncoder, SeenImages
from likebut.backbones.text import TextBatch

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

    def embed_targets(self, images: Tensor | SeenImages) -> Tensor:
        """Return f_t = normalise(W_v · encode_image(V_t)): (B, T, W) → (B, N, E)."""
        return _of_length_one(self.vision_projection(self.query_encoder.encode_image(images)))

    def embed_texts(self, text: TextBatch) -> Tensor:
        """Return f_m = normalise(W_t · encode_text(m, prompts)): (B, L) → (B, E)."""
        states = self.query_encoder.encode_text(text, self.prompt_tokens, read=1)
        return self.project_query(states[:, 0])

    def project_query(self, pooled: Tensor) -> Tensor:
        """Return normalise(W_t · pooled): (B, H) → (B, E)."""
        return _of_length_one(self.text_projection(pooled))

    def image_prototype(self, image_tokens: Tensor) -> Tensor:
        """Return the mean of the query tokens that looked at an image: (B, T, W) → (B, H)."""
        return self.query_encoder.encode_image(image_tokens).mean(dim=1)


def _of_length_one(projected: Tensor) -> Tensor:
    # An autocast on a processor would divide in bf16 and leave lengths that differ by half a percent.
    return functional.normalize(projected.float(), dim=-1)
