import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from likebut.retriever.base import NO_IMAGE, similarity
from likebut.retriever.losses import contrastive_loss, prototype_loss, same_target_mask


def unit(*shape: int, seed: int) -> Tensor:
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def naive_loss(
    queries: Tensor, targets: Tensor, temperature: float, smoothing: float, first: int, masked: list[list[bool]]
) -> float:
    total = 0.0
    for index, query in enumerate(queries):
        kept, own = [], None
        for number, target in enumerate(targets):
            if number == first + index:
                own = len(kept)
            elif masked[index][number]:
                continue
            kept.append(max(float(query @ token) for token in target) / temperature)
        assert own is not None
        denominator = math.log(sum(math.exp(score) for score in kept))
        label = [smoothing / len(kept) + (1 - smoothing) * (number == own) for number in range(len(kept))]
        total -= sum(weight * (score - denominator) for weight, score in zip(label, kept, strict=True))
    return total / len(queries)


def test_similarity_is_the_best_of_the_targets_tokens() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    targets = torch.tensor([[[0.0, 1.0], [1.0, 0.0]], [[0.0, -1.0], [-1.0, 0.0]]])
    torch.testing.assert_close(similarity(queries, targets), torch.tensor([[1.0, 0.0], [0.8, -0.6]]))


def test_contrastive_loss_by_hand() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    targets = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    # Scores at temperature 0.5: [2, 2] and [0, 0]; each query gives its target one half.
    loss = contrastive_loss(queries, targets, torch.tensor(0.5))
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)


def test_label_smoothing_by_hand() -> None:
    queries, targets = torch.tensor([[1.0, 0.0]]), torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    # Scores [1, 0]: log-probabilities -log(1 + e^-1) and -1 - log(1 + e^-1); label 0.95 and 0.05.
    expected = math.log(1 + math.exp(-1)) + 0.05
    smoothed = contrastive_loss(queries, targets, torch.tensor(1.0), label_smoothing=0.1)
    assert smoothed.item() == pytest.approx(expected, abs=1e-6)


def test_a_masked_false_negative_is_excluded_from_denominator_and_smoothing() -> None:
    queries = torch.tensor([[1.0, 0.0]])
    targets = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]])
    masked = torch.tensor([[False, True, False]])
    expected = math.log(1 + math.exp(-1)) + 0.05  # as if the second target were not there
    loss = contrastive_loss(queries, targets, torch.tensor(1.0), 0.1, 0, masked)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_the_own_target_is_never_masked() -> None:
    queries, targets = unit(3, 4, seed=0), unit(3, 2, 4, seed=1)
    everything = torch.ones(3, 3, dtype=torch.bool)
    loss = contrastive_loss(queries, targets, torch.tensor(0.1), 0.1, 0, everything)
    assert loss.item() == pytest.approx(0.0, abs=1e-6)


def test_masked_targets_receive_no_gradient() -> None:
    targets = unit(3, 2, 4, seed=1).requires_grad_()
    masked = torch.tensor([[False, True, False], [False, False, True], [False, True, False]])
    contrastive_loss(unit(3, 4, seed=0)[:1], targets, torch.tensor(0.1), 0.1, 0, masked[:1]).backward()
    assert targets.grad is not None
    assert targets.grad[1].abs().max() == 0
    assert targets.grad[2].abs().max() > 0


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 5),
    extra=st.integers(0, 4),
    before=st.integers(0, 3),
    smoothing=st.sampled_from([0.0, 0.1, 0.3]),
    temperature=st.floats(0.05, 2.0),
    seed=st.integers(0, 1000),
    masking=st.booleans(),
)
def test_against_the_naive_loss(
    batch: int, extra: int, before: int, smoothing: float, temperature: float, seed: int, masking: bool
) -> None:
    candidates = before + batch + extra
    queries, targets = unit(batch, 6, seed=seed), unit(candidates, 3, 6, seed=seed + 1)
    generator = torch.Generator().manual_seed(seed)
    masked = torch.rand(batch, candidates, generator=generator) < 0.4 if masking else None
    loss = contrastive_loss(queries, targets, torch.tensor(temperature), smoothing, before, masked)
    rows = [[False] * candidates] * batch if masked is None else masked.tolist()
    assert loss.item() == pytest.approx(naive_loss(queries, targets, temperature, smoothing, before, rows), abs=1e-4)


def test_same_target_mask() -> None:
    mask = same_target_mask(torch.tensor([4, 9]), torch.tensor([9, 4, 4, 1]))
    assert mask.tolist() == [[False, True, True, False], [True, False, False, False]]
    further = torch.tensor([[1, 7], [4, NO_IMAGE]])
    mask = same_target_mask(torch.tensor([4, 9]), torch.tensor([9, 4, -1, 1]), further)
    assert mask.tolist() == [[False, True, False, True], [True, True, False, False]]


def test_prototype_loss_by_hand_and_without_gradient_to_the_fixed_side() -> None:
    moving = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    fixed = torch.tensor([[1.0, 0.0], [2.0, 0.0]], requires_grad=True)
    loss = prototype_loss(moving, fixed)
    assert loss.item() == pytest.approx((0 + 4 + 4 + 0) / 4)
    loss.backward()
    assert fixed.grad is None
    assert moving.grad is not None
    torch.testing.assert_close(moving.grad, torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))


def test_losses_are_computed_in_fp32() -> None:
    queries, targets = unit(4, 8, seed=0).bfloat16(), unit(4, 2, 8, seed=1).bfloat16()
    assert contrastive_loss(queries, targets, torch.tensor(0.07)).dtype == torch.float32
    assert prototype_loss(queries, queries).dtype == torch.float32


def test_autocast_does_not_round_the_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    queries = torch.nn.functional.normalize(torch.randn(4, 8, generator=generator), dim=-1)
    targets = torch.nn.functional.normalize(torch.randn(4, 3, 8, generator=generator), dim=-1)
    exact = contrastive_loss(queries, targets, torch.tensor(0.02))
    with torch.autocast("cpu", torch.bfloat16):
        cast = contrastive_loss(queries, targets, torch.tensor(0.02))
    assert torch.equal(exact, cast)
