import pytest
import torch
from torch import nn

from helpers.training_toys import settings
from likebut.recipes.loading import load_recipe, recipe_files
from likebut.training.schedule import make_optimizer, make_schedule


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.norm = nn.LayerNorm(2)
        self.temperature = nn.Parameter(torch.tensor(0.07))
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)


def decays(model: Model, **changes: object) -> dict[str, float]:
    optimizer = make_optimizer(model, settings(weight_decay=0.05, **changes))
    of = {id(parameter): group["weight_decay"] for group in optimizer.param_groups for parameter in group["params"]}
    return {name: of[id(parameter)] for name, parameter in model.named_parameters() if id(parameter) in of}


def test_only_matrices_have_weight_decay() -> None:
    assert decays(Model()) == {
        "linear.weight": 0.05,
        "linear.bias": 0.0,
        "norm.weight": 0.0,
        "norm.bias": 0.0,
        "temperature": 0.0,
    }


def test_all_parameters_have_weight_decay_if_set() -> None:
    assert set(decays(Model(), decay_everything=True).values()) == {0.05}


def test_frozen_parameters_are_left_out() -> None:
    assert "frozen" not in decays(Model()) and "frozen" not in decays(Model(), decay_everything=True)


def rates(total: int, **changes: object) -> list[float]:
    optimizer = make_optimizer(Model(), settings(**changes))
    schedule = make_schedule(optimizer, settings(**changes), total)
    found = []
    for step in range(total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step + 1 < total:
            schedule.step()
    return found


@pytest.mark.parametrize("total", [2, 3, 10, 20, 101])
@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.1, 0.5, 1.0])
def test_one_cycle_peaks_at_the_rate_and_never_runs_past_the_end(total: int, fraction: float) -> None:
    found = rates(total, warm_up_fraction=fraction, learning_rate=1e-2)
    assert max(found) <= 1e-2 * (1 + 1e-9)
    peak = found.index(max(found))
    assert found[: peak + 1] == sorted(found[: peak + 1]) and found[peak:] == sorted(found[peak:], reverse=True)
    assert fraction == 1.0 or found[-1] < 1e-6


def test_the_constant_schedule_is_constant() -> None:
    assert rates(5, schedule="constant", learning_rate=3e-3) == [3e-3] * 5


def test_momentum_is_cycled_only_if_set() -> None:
    for cycles in (False, True):
        chosen = settings(cycle_momentum=cycles)
        optimizer = make_optimizer(Model(), chosen)
        make_schedule(optimizer, chosen, 100)
        assert optimizer.param_groups[0]["betas"] == ((0.95, 0.98) if cycles else (0.9, 0.98))


@pytest.mark.parametrize("name", [name for name in recipe_files() if name.startswith(("cirr", "circo", "fashioniq"))])
def test_the_paper_s_schedules_end_at_their_last_step(name: str) -> None:
    # The published code plans for 80 epochs whatever is trained, so that its rate never comes down.
    training = load_recipe(name).training
    optimizer = make_optimizer(Model(), training)
    total = training.total_steps(steps_per_epoch=7)
    assert total == 7 * (training.epochs or 0) > 0
    schedule = make_schedule(optimizer, training, total)
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(total - 1):
        optimizer.step()
        schedule.step()
        found.append(optimizer.param_groups[0]["lr"])
    assert max(found) == pytest.approx(training.learning_rate, rel=1e-3)
    assert found.index(max(found)) < 0.05 * total and found[-1] < 1e-4 * training.learning_rate


def test_epochs_are_counted_after_the_stages_before() -> None:
    assert settings(steps=None, epochs=2).total_steps(steps_per_epoch=7, stage_steps=150) == 164
    assert settings(steps=20).total_steps(steps_per_epoch=7, stage_steps=15) == 20
