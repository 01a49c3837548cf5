import pytest
import torch

from likebut.models.attention import Attention, Dropout, drop, set_dropout


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_the_fraction_is_dropped_and_the_mean_stays(probability: float) -> None:
    torch.manual_seed(0)
    found = drop(torch.ones(301, 1001), probability)
    assert (found == 0).float().mean() == pytest.approx(probability, abs=0.005)
    assert found.mean() == pytest.approx(1.0, abs=0.005)
    assert len(found.unique()) == 2


def test_a_probability_next_to_one_leaves_something() -> None:
    torch.manual_seed(0)
    assert drop(torch.ones(100, 100), 0.999).isfinite().all()


def test_gradients_follow_the_kept_values() -> None:
    torch.manual_seed(0)
    states = torch.ones(40, 40, requires_grad=True)
    found = drop(states, 0.3)
    found.sum().backward()
    assert torch.equal(states.grad, found.detach())


def test_dropout_is_seeded_and_two_samples_differ() -> None:
    states = torch.ones(50, 50)
    torch.manual_seed(3)
    first, second = drop(states, 0.2), drop(states, 0.2)
    torch.manual_seed(3)
    assert torch.equal(drop(states, 0.2), first) and not torch.equal(first, second)


def test_neither_neighbours_nor_rows_are_dropped_together() -> None:
    torch.manual_seed(0)
    kept = (drop(torch.ones(512, 512), 0.5) != 0).float()
    for other in (kept.roll(1, 0), kept.roll(1, 1), kept.roll(8, 1)):
        assert ((kept - 0.5) * (other - 0.5)).mean().abs() < 0.005


def test_dropout_applies_in_training_only_and_keeps_the_dtype() -> None:
    layer, states = Dropout(0.5), torch.ones(8, 8, dtype=torch.bfloat16)
    assert layer.eval()(states) is states
    assert layer.train()(states).dtype == torch.bfloat16 and (layer(states) == 0).any()


def test_every_layer_and_the_attention_weights_get_another_probability() -> None:
    module = torch.nn.Sequential(Dropout(0.1), Attention(8, 2, 8, 0.1))
    set_dropout(module, 0.25)
    assert module[0].p == 0.25 and module[1].dropout.p == 0.25
