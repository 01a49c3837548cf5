from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from likebut.generator.generator import ModificationGenerator
from likebut.generator.initialisation import start_from_retriever, start_projection_from_shared_words
from likebut.generator.mtst import MTST
from likebut.retriever.retriever import Retriever


@dataclass
class Speaker:
    """A language model with its own vocabulary: words of ``known`` are one token, others two."""

    known: dict[str, int]
    model: nn.Module

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [[self.known[text]] if text in self.known else [0, 1] for text in texts]


class Embeddings(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.table = nn.Embedding.from_pretrained(weight)

    def get_input_embeddings(self) -> nn.Module:
        return self.table


@pytest.fixture
def model() -> MTST:
    return ModificationGenerator.from_preset("tiny").model


def name(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number:03d}")


def speaker(model: MTST, words: int) -> tuple[Speaker, dict[str, int]]:
    """Return a language model that shares ``words`` words with the query encoder, whose vocabulary is returned too."""
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(words + 2, model.projection.out_features, generator=generator)
    shared = {name(number): 10 + number for number in range(words)}
    # A leading blank makes a word a word; ids run the other way round, so that they cannot be mixed up.
    known = {f" {word}": words + 1 - number for number, word in enumerate(shared)}
    return Speaker(known, Embeddings(table)), shared


def outputs_and_goals(model: MTST, other: Speaker, shared: dict[str, int]) -> tuple[Tensor, Tensor]:
    ids = torch.tensor(list(shared.values()))
    with torch.no_grad():
        source = model.query_encoder.layers[-1].query_norm(model.query_encoder.embeddings.word.weight[ids]).double()
    goal = other.model.table.weight[torch.tensor([other.known[f" {word}"] for word in shared])].double()
    return source, goal


def test_projection_is_the_ridge_regression_between_shared_words(model: MTST) -> None:
    other, shared = speaker(model, 120)
    model._language = [other]
    noise = {"two words": 3, "3d": 4, "unknown": 5, "[SEP]": 6}
    assert start_projection_from_shared_words(model, noise | shared) == 120
    source, goal = outputs_and_goals(model, other, shared)
    centred, wanted = source - source.mean(dim=0), goal - goal.mean(dim=0)
    # The oracle: ordinary least squares on data to which the penalty was added as rows.
    width = source.shape[1]
    penalty = (0.01 * (centred**2).sum(dim=0).mean()).sqrt() * torch.eye(width, dtype=torch.float64)
    zeros = torch.zeros(width, goal.shape[1], dtype=torch.float64)
    expected = torch.linalg.lstsq(torch.cat([centred, penalty]), torch.cat([wanted, zeros])).solution
    assert torch.allclose(model.projection.weight.double(), expected.T, atol=1e-5)
    # The mean word goes to the mean word.
    with torch.no_grad():
        mean = model.projection(source.mean(dim=0).float())
    assert torch.allclose(mean.double(), goal.mean(dim=0), atol=1e-4)


def test_projection_is_unchanged_with_too_few_shared_words(model: MTST) -> None:
    before = model.projection.weight.clone()
    other, shared = speaker(model, model.query_encoder.config.hidden_size - 1)
    model._language = [other]
    assert start_projection_from_shared_words(model, shared) == len(shared)
    assert torch.equal(model.projection.weight, before)


def test_query_encoder_is_copied(model: MTST) -> None:
    trained = Retriever.from_preset("tiny", seed=5).module.get_submodule("core.query_encoder")
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.5)
    start_from_retriever(model, trained)
    own, theirs = model.query_encoder.state_dict(), trained.state_dict()
    assert own.keys() == theirs.keys() and all(torch.equal(own[key], theirs[key]) for key in own)
    with torch.no_grad():
        next(iter(trained.parameters())).zero_()
    assert any(not torch.equal(own[key], trained.state_dict()[key]) for key in own)
