import pytest
import torch
from torch import Tensor

from likebut.features import neighbours as module
from likebut.features.neighbours import frozen_vectors, retriever_vectors


class TwoTokens:
    """Image "n" has the tokens (n, 0) and (0, 1)."""

    def tokens(self, names: list[str]) -> Tensor:
        return torch.stack([torch.tensor([[float(name), 0.0], [0.0, 1.0]]) for name in names]).half()


class Swapping:
    """Its N target embeddings are the image tokens with their axes swapped."""

    def embed_image_tokens(self, image_tokens: Tensor) -> Tensor:
        return image_tokens.float().flip(2)


def test_frozen_vectors_are_normalised_mean_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    found = frozen_vectors(TwoTokens(), ["1", "0", "3"])
    assert torch.allclose(found, torch.tensor([[0.5**0.5, 0.5**0.5], [0.0, 1.0], [0.9**0.5, 0.1**0.5]]), atol=1e-6)


def test_retriever_vectors_are_normalised_mean_embeddings() -> None:
    found = retriever_vectors(TwoTokens(), ["3", "0"], Swapping())
    assert torch.allclose(found, torch.tensor([[0.1**0.5, 0.9**0.5], [1.0, 0.0]]), atol=1e-6)
