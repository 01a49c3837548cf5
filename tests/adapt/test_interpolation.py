import torch
from torch import nn

from likebut.adapt.interpolation import choose_weight, copied_state, distinct_weights, interpolate


def test_weights_lie_on_the_line_between_base_and_trained() -> None:
    module, trained = nn.Linear(2, 2), nn.Linear(2, 2)
    base = copied_state(module)
    interpolate(module, base, copied_state(trained), 0.25)
    assert torch.allclose(module.weight, 0.75 * base["weight"] + 0.25 * trained.weight)
    interpolate(module, base, copied_state(trained), 0.0)
    assert torch.equal(module.weight, base["weight"])


def test_the_weight_nearest_to_the_base_that_costs_little_is_chosen() -> None:
    assert choose_weight({0.5: 50.0, 0.75: 58.6, 1.0: 60.0}, given_up=1.5) == 0.75
    assert choose_weight({0.5: 50.0, 0.75: 58.4, 1.0: 60.0}, given_up=1.5) == 1.0
    assert choose_weight({0.5: 61.0, 1.0: 60.0}, given_up=0.0) == 0.5


def test_the_trained_model_is_always_tried() -> None:
    assert distinct_weights((0.8, 0.6)) == [0.6, 0.8, 1.0]
