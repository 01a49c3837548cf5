from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from helpers.errors import raises
from helpers.training_toys import settings
from likebut.errors import InputError
from likebut.training.checkpoints import (
    BEST_FILE,
    Progress,
    load_latest,
    load_weights,
    save_best,
    save_checkpoint,
)
from likebut.training.schedule import make_optimizer, make_schedule


def parts() -> tuple[nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    model = nn.Linear(3, 2)
    optimizer = make_optimizer(model, settings())
    return model, optimizer, make_schedule(optimizer, settings(), 10)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler) -> None:
    optimizer.zero_grad()
    model(torch.ones(1, 3)).square().sum().backward()
    optimizer.step()
    schedule.step()


def test_a_loaded_checkpoint_continues_like_the_saved_state(tmp_path: Path) -> None:
    saved = parts()
    for _ in range(3):
        step(*saved)
    save_checkpoint(tmp_path, Progress(3, 0.5, 2), *saved, keep=1)
    loaded = parts()
    assert load_latest(tmp_path, *loaded) == Progress(3, 0.5, 2)
    for _ in range(4):
        step(*saved)
        step(*loaded)
    assert torch.equal(saved[0].weight, loaded[0].weight)
    assert saved[1].param_groups[0]["lr"] == loaded[1].param_groups[0]["lr"]


def test_an_empty_folder_starts_at_step_0(tmp_path: Path) -> None:
    assert load_latest(tmp_path / "none", *parts()) == Progress()


def test_an_incomplete_checkpoint_is_ignored(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, Progress(3), *parts(), keep=2)
    leftover = tmp_path / ".step-00000004.abc.tmp"
    leftover.mkdir()
    (tmp_path / "step-00000009").mkdir()  # no state: whoever made it did not finish
    assert load_latest(tmp_path, *parts()).step == 3


def test_the_optimizer_s_file_is_read_without_running_code(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, Progress(3), *parts(), keep=1)
    torch.load(tmp_path / "step-00000003" / "optimizer.pt", weights_only=True)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2, 3), "offset": torch.ones(2)}, tmp_path / "w.safetensors")
    with raises(InputError, None, "bias", "w.safetensors"):
        load_weights(nn.Linear(3, 2), tmp_path / "w.safetensors")
    save_file({"weight": torch.ones(2, 4), "bias": torch.ones(2)}, tmp_path / "w.safetensors")
    with raises(InputError, None, "weight", "(2, 4)", "(2, 3)"):
        load_weights(nn.Linear(3, 2), tmp_path / "w.safetensors")


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"not a tensor")
    with raises(InputError, "damaged-weights", "w.safetensors"):
        load_weights(nn.Linear(3, 2), tmp_path / "w.safetensors")


def test_only_trained_parameters_are_saved(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    save_best(tmp_path, model)
    assert sorted(load_file(tmp_path / BEST_FILE)) == ["1.bias", "1.weight"]
