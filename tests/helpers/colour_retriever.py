"""A retriever of colours: the real code around a model small enough to compute by hand."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from likebut.data.images import Preprocessing
from likebut.models.tokenizers import TextBatch
from likebut.models.vision import VisionEncoder
from likebut.retriever.base import RetrievalOutputs, TripletBatch
from likebut.retriever.retriever import Retriever, RetrieverConfig


class HalfColours(nn.Module):
    """Tokens are the mean colours of an image's two halves: (B, 3, 8, 8) → (B, 2, 3)."""

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.stack([pixels[..., :4].mean(dim=(2, 3)), pixels[..., 4:].mean(dim=(2, 3))], dim=1)


class ColourModel(nn.Module):
    """Adds the red, green and blue that the text names to the reference's mean colour."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(0.07))
        self.dropout = nn.Dropout(0.5)

    def embed_targets(self, image_tokens: Tensor) -> Tensor:
        return functional.normalize(self.dropout(image_tokens) + 0.01, dim=-1)

    def embed_queries(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        return functional.normalize(self.dropout(image_tokens).mean(dim=1) + text.ids[:, :3].float(), dim=-1)

    def embed_texts(self, text: TextBatch) -> Tensor:
        return functional.normalize(text.ids[:, :3].float() + 0.01, dim=-1)

    def forward(self, batch: TripletBatch) -> RetrievalOutputs:
        raise NotImplementedError


class ColourTokenizer:
    """Three numbers per text: whether it contains red, green, blue."""

    vocabulary_size = 2

    def __call__(self, texts: Sequence[str], max_length: int = 32) -> TextBatch:
        ids = torch.tensor([[int(colour in text) for colour in ("red", "green", "blue")] for text in texts])
        return TextBatch(ids, torch.ones_like(ids))

    def is_truncated(self, text: str, max_length: int = 32) -> bool:
        return False


def colour_retriever() -> Retriever:
    """Return the retriever, in eval mode on the CPU."""
    preprocessing = Preprocessing(size=8, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    vision = VisionEncoder(HalfColours(), "colours", width=3, tokens=2, preprocessing=preprocessing)
    return Retriever(RetrieverConfig(kind="ptha", preset="tiny"), ColourModel(), vision, ColourTokenizer(), "cpu")
