"""A small retriever core with random weights, and matching inputs."""

import torch
from torch import Tensor

from likebut.models.query_encoder import QueryEncoder, QueryEncoderConfig
from likebut.models.tokenizers import TextBatch
from likebut.retriever.base import RetrieverCore, TripletBatch

QUERIES, WIDTH, IMAGE_WIDTH, EMBEDDING = 3, 16, 10, 8


def small_core(dropout: float = 0.0) -> RetrieverCore:
    """Return a core with random values for every parameter, so that no path is zero by accident."""
    config = QueryEncoderConfig(
        hidden_size=WIDTH,
        layers=2,
        heads=2,
        intermediate_size=24,
        query_tokens=QUERIES,
        image_width=IMAGE_WIDTH,
        vocabulary_size=40,
        max_positions=16,
        dropout=dropout,
    )
    torch.manual_seed(0)
    core = RetrieverCore(QueryEncoder(config), EMBEDDING)
    for name, value in core.named_parameters():
        if name != "temperature":
            torch.nn.init.normal_(value, std=0.3)
    return core


def tokens(batch: int, seed: int) -> Tensor:
    return torch.randn(batch, 4, IMAGE_WIDTH, generator=torch.Generator().manual_seed(seed))


def texts(batch: int, seed: int, length: int = 5, padded_to: int = 7) -> TextBatch:
    ids = torch.randint(4, 40, (batch, length), generator=torch.Generator().manual_seed(seed))
    pad = (0, padded_to - length)
    return TextBatch(torch.nn.functional.pad(ids, pad), torch.nn.functional.pad(torch.ones_like(ids), pad))


def triplets(batch: int = 4, reverse: bool = True) -> TripletBatch:
    return TripletBatch(
        reference_tokens=tokens(batch, 1),
        target_tokens=tokens(batch, 2),
        modification=texts(batch, 3),
        reverse_modification=texts(batch, 4) if reverse else None,
    )
