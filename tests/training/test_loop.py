import json
import os
import random
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from helpers.errors import raises
from helpers.training_toys import (
    ToyBatches,
    ToyTask,
    free_port,
    join_two_processes,
    run_in_child,
    settings,
    train_toy,
    weights_hash,
)
from likebut import progress
from likebut.errors import InputError, LikebutError, ResumeError
from likebut.training.checkpoints import checkpoints, lock_folder
from likebut.training.loop import train
from likebut.training.metrics_log import read_metrics


def test_loss_falls_and_frozen_weights_stay(tmp_path: Path) -> None:
    before = ToyTask()
    task = train_toy(tmp_path, dropout=0.0, steps=150, learning_rate=3e-2)
    losses = [row["loss"] for row in read_metrics(tmp_path)]
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])
    assert torch.equal(task.model[0].weight, before.model[0].weight)
    assert not torch.equal(task.model[3].weight, before.model[3].weight)


def test_first_step_is_adamw_s_by_hand(tmp_path: Path) -> None:
    task = train_toy(tmp_path, dropout=0.0, steps=1, weight_decay=0.1, schedule="constant", learning_rate=0.01)
    by_hand = ToyTask(0.0)
    losses = by_hand.training_forward(by_hand.model, ToyBatches().batch(0))
    (losses["squared_loss"] + losses["small_loss"]).backward()
    weight, bias = by_hand.model[3].weight, by_hand.model[3].bias
    # Adam's first step is the gradient's sign, and only the matrix decays.
    expected_weight = weight * (1 - 0.01 * 0.1) - 0.01 * weight.grad / (weight.grad.abs() + 1e-8)
    expected_bias = bias - 0.01 * bias.grad / (bias.grad.abs() + 1e-8)
    torch.testing.assert_close(task.model[3].weight, expected_weight)
    torch.testing.assert_close(task.model[3].bias, expected_bias)


def test_losses_are_summed_and_other_values_are_logged(tmp_path: Path) -> None:
    train_toy(tmp_path, steps=3, log_every=1)
    for row in read_metrics(tmp_path):
        assert row["loss"] == pytest.approx(row["squared_loss"] + row["small_loss"], rel=1e-6)
        assert "spread" in row and "learning_rate" in row


def test_schedule_ends_exactly_at_the_last_step(tmp_path: Path) -> None:
    train_toy(tmp_path, steps=40, log_every=1, warm_up_fraction=0.25, start_divisor=100)
    rates = [row["learning_rate"] for row in read_metrics(tmp_path)]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1)
    oracle = OneCycleLR(optimizer, max_lr=1e-2, total_steps=40, pct_start=0.25, div_factor=100, cycle_momentum=False)
    expected = []
    for _ in range(40):
        expected.append(oracle.get_last_lr()[0])
        optimizer.step()
        if len(expected) < 40:
            oracle.step()
    assert rates == pytest.approx(expected)
    assert max(rates) == pytest.approx(1e-2) and rates[0] == pytest.approx(1e-4) and rates[-1] == min(rates) < 1e-7


def test_epochs_count_the_batches(tmp_path: Path) -> None:
    train_toy(tmp_path, steps=None, epochs=3)
    assert read_metrics(tmp_path)[-1]["step"] == 15 and read_metrics(tmp_path)[-1]["epoch"] == 3.0


def train_in_child(folder: Path) -> None:
    train_toy(folder, seconds=0.02, steps=60)


def test_killed_at_any_moment_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    undisturbed = train_toy(tmp_path / "undisturbed", steps=60)
    moments, kills = random.Random(time.time_ns()), 0
    for _ in range(5):
        kills += not run_in_child(train_in_child, (tmp_path / "killed",), kill_after=moments.uniform(0.05, 0.25))
    resumed = train_toy(tmp_path / "killed", steps=60)
    assert kills >= 3, "the work was too short to be interrupted"
    assert weights_hash(resumed.model) == weights_hash(undisturbed.model)
    assert logged_metrics(tmp_path / "killed") == logged_metrics(tmp_path / "undisturbed")
    assert not list(tmp_path.rglob("*.tmp"))
    last = [sorted(tmp_path.glob(f"{name}/checkpoints/*"))[-1] for name in ("undisturbed", "killed")]
    assert (last[0] / "model.safetensors").read_bytes() == (last[1] / "model.safetensors").read_bytes()


def logged_metrics(folder: Path) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "step_seconds"} for row in read_metrics(folder)]


def test_dropout_changes_the_weights(tmp_path: Path) -> None:
    """Otherwise the test above would not cover random generators."""
    assert weights_hash(train_toy(tmp_path / "a").model) != weights_hash(train_toy(tmp_path / "b", dropout=0.0).model)


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = train_toy(tmp_path, steps=10)

    class NoBatches(ToyBatches):
        def batch(self, step: int) -> Any:
            raise AssertionError("a batch was read")

    again = ToyTask()
    result = train(again, NoBatches(), settings(steps=10), tmp_path, seed=3)
    assert result.steps == 10 and weights_hash(again.model) == weights_hash(first.model)


def test_a_second_training_in_one_folder_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    refused: list[int] = []

    def evaluate(step: int) -> dict[str, float]:
        with raises(InputError, "folder-in-use", tmp_path), lock_folder(tmp_path):
            pass
        refused.append(step)
        return {}

    train(ToyTask(), ToyBatches(), settings(steps=2, evaluate_every=1), tmp_path, seed=3, evaluate=evaluate)
    assert refused == [1, 2]
    with lock_folder(tmp_path), raises(InputError, "folder-in-use", tmp_path):
        train_toy(tmp_path, steps=2)


def test_the_latest_checkpoints_are_kept_with_trained_weights_only(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    train_toy(tmp_path, steps=40, checkpoint_every=7, keep_checkpoints=2)
    kept = checkpoints(tmp_path / "checkpoints")
    assert [path.name for path in kept] == ["step-00000035", "step-00000040"]
    assert set(load_file(kept[-1] / "model.safetensors")) == {"unused", "2.weight", "2.bias", "3.weight", "3.bias"}


def test_other_settings_are_refused_naming_each_difference(tmp_path: Path) -> None:
    train_toy(tmp_path, steps=5)
    with pytest.raises(ResumeError) as refused:
        train_toy(tmp_path, steps=6, betas=(0.9, 0.99))
    assert "training.steps was 5, now 6" in refused.value.problem
    assert "training.betas was [0.9, 0.98], now [0.9, 0.99]" in refused.value.problem
    assert "learning_rate" not in refused.value.problem


def test_another_seed_or_other_data_is_refused(tmp_path: Path) -> None:
    train(ToyTask(), ToyBatches(), settings(steps=2), tmp_path, seed=1, identity={"data": "a"})
    with raises(ResumeError, "settings-changed", "data was a, now b", "seed was 1, now 2"):
        train(ToyTask(), ToyBatches(), settings(steps=2), tmp_path, seed=2, identity={"data": "b"})


class InterruptingBatches(ToyBatches):
    """Sends SIGINT while a batch is prefetched, in the middle of the training."""

    def batch(self, step: int) -> Any:
        if step == 20:
            os.kill(os.getpid(), signal.SIGINT)
        return super().batch(step)


def test_ctrl_c_writes_a_checkpoint_and_the_same_call_resumes(tmp_path: Path) -> None:
    undisturbed = train_toy(tmp_path / "undisturbed", checkpoint_every=1000)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        train(ToyTask(), InterruptingBatches(), settings(checkpoint_every=1000), tmp_path / "stopped", seed=3)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    [left] = checkpoints(tmp_path / "stopped" / "checkpoints")
    assert 0 < json.loads((left / "state.json").read_text())["step"] < 40
    resumed = train_toy(tmp_path / "stopped", checkpoint_every=1000)
    assert weights_hash(resumed.model) == weights_hash(undisturbed.model)


def test_a_resume_between_two_reports_counts_each_step_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)

    class StoppingAtSeven(ToyBatches):
        def batch(self, step: int) -> Any:
            if step == 7:
                raise KeyboardInterrupt
            return super().batch(step)

    chosen = settings(steps=10, log_every=4, checkpoint_every=7)
    with pytest.raises(KeyboardInterrupt):
        train(ToyTask(), StoppingAtSeven(), chosen, tmp_path, seed=3)
    capsys.readouterr()
    with progress.progress_shown():
        train(ToyTask(), ToyBatches(), chosen, tmp_path, seed=3)
    reports = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert [report["done"] for report in reports if "loss" in report] == [8, 10]


def test_evaluation_selects_the_best_weights_and_changes_nothing_else(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    seen: list[tuple[int, bool, bool]] = []
    weights: dict[int, torch.Tensor] = {}
    task = ToyTask()

    def evaluate(step: int) -> dict[str, float]:
        seen.append((step, task.model.training, torch.is_grad_enabled()))
        weights[step] = task.model[3].weight.detach().clone()
        torch.rand(7)  # an evaluation that draws must not disturb dropout
        return {"recall": {10: 20.0, 20: 60.0, 30: 60.0, 40: 10.0}[step]}

    result = train(
        task, ToyBatches(), settings(evaluate_every=10, best_metric="recall"), tmp_path, seed=3, evaluate=evaluate
    )
    assert seen == [(step, False, False) for step in (10, 20, 30, 40)]
    assert (result.best_step, result.best_value) == (20, 60.0)
    assert torch.equal(load_file(tmp_path / "best.safetensors")["3.weight"], weights[20])
    rows = [row for row in read_metrics(tmp_path) if "evaluation/recall" in row]
    assert [(row["step"], row["evaluation/recall"]) for row in rows] == [(10, 20.0), (20, 60.0), (30, 60.0), (40, 10.0)]
    assert weights_hash(task.model) == weights_hash(train_toy(tmp_path / "without").model)


def test_an_unknown_best_metric_is_refused(tmp_path: Path) -> None:
    with raises(LikebutError, "unknown-metric", "recal", "recall"):
        train(
            ToyTask(),
            ToyBatches(),
            settings(steps=2, evaluate_every=1, best_metric="recal"),
            tmp_path,
            seed=0,
            evaluate=lambda step: {"recall": 1.0},
        )


def test_a_nan_loss_stops_the_training(tmp_path: Path) -> None:
    with raises(LikebutError, "diverged", "nan", "step 1", "learning_rate"):
        task = ToyTask()
        with torch.no_grad():
            task.model[3].weight.fill_(float("nan"))
        train(task, ToyBatches(), settings(steps=2, log_every=1), tmp_path, seed=0)


class DivergingBatches(ToyBatches):
    """Targets are NaN from step 15 on, unless ``healthy``."""

    def __init__(self, healthy: bool = False) -> None:
        super().__init__()
        self.healthy = healthy

    def batch(self, step: int) -> Any:
        batch = super().batch(step)
        return batch if self.healthy or step < 15 else replace(batch, targets=batch.targets * float("nan"))


def test_nan_weights_never_replace_a_good_checkpoint(tmp_path: Path) -> None:
    chosen = settings(log_every=20, checkpoint_every=9, keep_checkpoints=1)
    with raises(LikebutError, "diverged", "step 18"):
        train(ToyTask(), DivergingBatches(), chosen, tmp_path, seed=3)
    assert [path.name for path in checkpoints(tmp_path / "checkpoints")] == ["step-00000009"]
    assert train(ToyTask(), DivergingBatches(healthy=True), chosen, tmp_path, seed=3).steps == 40


def test_nan_weights_are_not_evaluated(tmp_path: Path) -> None:
    chosen = settings(log_every=20, checkpoint_every=30, evaluate_every=16)
    with raises(LikebutError, "diverged", "step 16"):
        train(ToyTask(), DivergingBatches(), chosen, tmp_path, seed=3, evaluate=lambda _: pytest.fail("evaluated"))


def test_a_kill_after_an_evaluation_keeps_best_weights_and_step_consistent(tmp_path: Path) -> None:
    chosen = settings(steps=8, checkpoint_every=50, evaluate_every=3, best_metric="recall")

    def killed_at_the_end(step: int) -> dict[str, float]:
        if step == 8:
            raise SystemExit
        return {"recall": {3: 40.0, 6: 50.0}[step]}

    with pytest.raises(SystemExit):
        train(ToyTask(), ToyBatches(), chosen, tmp_path, seed=3, evaluate=killed_at_the_end)
    # On a GPU a repeated evaluation may differ in the last digits, so the evaluated step must not be repeated.
    result = train(ToyTask(), ToyBatches(), chosen, tmp_path, seed=3, evaluate=lambda _: {"recall": 10.0})
    assert (result.best_step, result.best_value) == (6, 50.0)


def test_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    train_toy(tmp_path, steps=2)
    recorded = json.loads((tmp_path / "training.json").read_text())
    (tmp_path / "training.json").write_text(json.dumps(recorded | {"processes": 8}))
    with raises(ResumeError, "settings-changed", "processes was 8, now 1"):
        train_toy(tmp_path, steps=2)


def test_gradient_is_clipped(tmp_path: Path) -> None:
    train_toy(tmp_path, steps=1, gradient_clip=1e-3, log_every=1)
    assert all(row["gradient_norm"] > 1e-3 for row in read_metrics(tmp_path))
    [path] = checkpoints(tmp_path / "checkpoints")
    states = torch.load(path / "optimizer.pt", weights_only=True)["optimizer"]["state"].values()
    # After one step Adam's mean is a tenth of the gradient that it was given.
    norm = torch.stack([state["exp_avg"].norm() for state in states]).norm().item()
    assert norm == pytest.approx(0.1 * 1e-3, rel=1e-2)


def test_bf16_keeps_fp32_weights(tmp_path: Path) -> None:
    exact, rough = train_toy(tmp_path / "a", steps=5), train_toy(tmp_path / "b", steps=5, precision="bf16")
    assert rough.model[3].weight.dtype == torch.float32
    assert not torch.equal(exact.model[3].weight, rough.model[3].weight)
    torch.testing.assert_close(exact.model[3].weight, rough.model[3].weight, atol=2e-2, rtol=0.1)


def train_as_one_of_two(folder: Path, process: int, port: int) -> None:
    join_two_processes(process, port)
    task = ToyTask(dropout=0.0)
    train(task, ToyBatches(process, 2), settings(steps=6, log_every=1), folder, seed=3)
    (folder / f"weights-{process}").write_text(weights_hash(task.model))
    torch.save(task.model[3].weight.detach(), folder / f"weight-{process}.pt")


def test_two_processes_train_like_one(tmp_path: Path) -> None:
    port = free_port()
    together = tmp_path / "together"
    together.mkdir()
    other = threading.Thread(target=run_in_child, args=(train_as_one_of_two, (together, 1, port)))
    other.start()
    assert run_in_child(train_as_one_of_two, (together, 0, port))
    other.join()
    alone = train_toy(tmp_path / "alone", dropout=0.0, steps=6, log_every=1)
    assert (together / "weights-0").read_text() == (together / "weights-1").read_text()
    shared = torch.load(together / "weight-0.pt", weights_only=True)
    torch.testing.assert_close(shared, alone.model[3].weight.detach(), atol=2e-3, rtol=1e-3)
    assert [row["step"] for row in read_metrics(together)] == [1, 2, 3, 4, 5, 6]


def test_the_seconds_of_a_step_are_those_of_the_log_window_divided_by_its_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    class TimedTask(ToyTask):
        def training_forward(self, model: torch.nn.Module, batch: Any) -> dict[str, torch.Tensor]:
            clock[0] += next(durations)
            return super().training_forward(model, batch)

    def evaluate(step: int) -> dict[str, float]:
        clock[0] += 100.0
        return {}

    durations = iter([0.0, 3.0, 0.0, 1.0, 0.5, 0.0])
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    chosen = settings(steps=6, log_every=3, evaluate_every=2, checkpoint_every=2)
    train(TimedTask(), ToyBatches(), chosen, tmp_path, seed=3, evaluate=evaluate)
    rows = [row["step_seconds"] for row in read_metrics(tmp_path) if "step_seconds" in row]
    assert rows == pytest.approx([1.0, 0.5])


def test_a_metric_that_is_better_when_lower_keeps_the_weights_of_its_minimum(tmp_path: Path) -> None:
    result = train(
        ToyTask(),
        ToyBatches(),
        settings(evaluate_every=10, best_metric="rate"),
        tmp_path,
        seed=3,
        evaluate=lambda step: {"rate": {10: 20.0, 20: 5.0, 30: 5.0, 40: 90.0}[step]},
        greater_is_better=False,
    )
    assert (result.best_step, result.best_value) == (20, 5.0)


def test_a_task_constrains_its_parameters_after_every_step(tmp_path: Path) -> None:
    class Clamped(ToyTask):
        def after_step(self) -> None:
            with torch.no_grad():
                self.model[3].bias.fill_(0.25)

    task = Clamped()
    train(task, ToyBatches(), settings(steps=3), tmp_path, seed=3)
    assert task.model[3].bias.item() == 0.25
