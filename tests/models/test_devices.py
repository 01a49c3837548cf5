from dataclasses import dataclass

import torch
from torch import Tensor

from likebut.models.devices import to_device
from likebut.models.tokenizers import TextBatch
from likebut.retriever.base import TripletBatch


@dataclass(frozen=True)
class WithTexts:
    tokens: Tensor
    texts: list[str]


def test_stored_half_precision_is_widened_and_ids_are_kept() -> None:
    text = TextBatch(torch.tensor([[1, 2]]), torch.tensor([[1, 1]]))
    tokens = torch.tensor([[[0.1]]]).half()
    moved = to_device(TripletBatch(tokens, tokens, text, None, torch.tensor([3])), torch.device("cpu"))
    assert moved.reference_tokens.dtype == torch.float32 and moved.reference_tokens.item() == tokens.float().item()
    assert moved.modification.ids.dtype == torch.int64 and moved.reverse_modification is None
    assert torch.equal(moved.target_ids, torch.tensor([3]))


def test_other_values_are_kept() -> None:
    batch = WithTexts(torch.ones(1), ["a", "b"])
    assert to_device(batch, torch.device("cpu")).texts == ["a", "b"]
    moved = to_device(torch.ones(1), torch.device("meta"))
    assert moved.device.type == "meta"
    assert to_device({"tokens": torch.ones(1)}, torch.device("meta"))["tokens"].device.type == "meta"
