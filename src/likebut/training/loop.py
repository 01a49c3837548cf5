"""Ctrl-C as a request that is met at the next good moment."""

import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list, set_seed
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from likebut.data.sampling import Batches
from likebut.errors import LikebutError
from likebut.files import read_json, remove_temporaries
from likebut.models.devices import ResolvedPrecision, autocast, pinned, resolve_precision, to_device
from likebut.models.process_group import this_process
from likebut.progress import Meter, track
from likebut.recipes.schema import TrainingSettings
from likebut.training.checkpoints import (
    SETTINGS_FILE,
    Progress,
    alone_in,
    claim_folder,
    load_latest,
    save_best,
    save_checkpoint,
)
from likebut.training.metrics_log import MetricsLog
from likebut.training.schedule import make_optimizer, make_schedule
from likebut.training.tasks import Task, summed


class StopRequest:
    """Within the block, Ctrl-C and SIGTERM set ``requested``; a second one stops at once.

    Outside the main thread, where Python allows no signal handlers, nothing changes.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        """Take the signals over."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


_BATCHES_AHEAD = 2


@contextmanager
def prefetched(make: Callable[[int], Any], steps: range, pin: bool = False) -> Iterator[Iterator[Any]]:
    """Yield an iterator over ``make(step)`` for every step, made up to two ahead.

    An error in ``make`` is raised where its batch is asked for. Leaving the block ends the thread.

    Args:
        make: Returns a batch; called in one background thread, in the order of ``steps``.
        steps: The batches wanted.
        pin: Whether tensors are put into page-locked memory.
    """

    def work(step: int) -> Any:
        batch = make(step)
        return pinned(batch) if pin else batch

    def read() -> Iterator[Any]:
        waiting: deque[Future[Any]] = deque()
        for step in steps:
            waiting.append(pool.submit(work, step))
            if len(waiting) > _BATCHES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        yield read()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_DIVERGED = "Train in another folder with a lower training.learning_rate."

# Called with the steps done, in eval mode and without gradient; returns figures for the log.
Evaluation = Callable[[int], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training came to.

    Attributes:
        steps: Steps done in all, earlier runs included.
        best_value: The best value of the metric that chooses the best weights.
        best_step: The step after which it was reached; those weights are in ``best.safetensors``.
    """

    steps: int
    best_value: float | None
    best_step: int | None


def train(
    task: Task,
    batches: Batches,
    settings: TrainingSettings,
    folder: Path,
    seed: int,
    identity: Mapping[str, Any] | None = None,
    evaluate: Evaluation | None = None,
    label: str = "training",
) -> TrainingResult:
    """Train ``task.model`` in place, going on from the latest checkpoint in ``folder`` if there is one.

    Killed at any moment and called again with the same arguments, it ends with the same weights (on the processor, to
    the last bit). Ctrl-C writes a checkpoint and then raises ``KeyboardInterrupt``.

    Args:
        task: Model and losses.
        batches: The training data.
        settings: How to train.
        folder: Where checkpoints, ``metrics.jsonl`` and TensorBoard's events go.
        seed: Of dropout and whatever else the model draws.
        identity: What else the result depends on (recipe, data); resuming with another is refused.
        evaluate: What ``settings.evaluate_every`` calls.
        label: What the progress bar says.

    Raises:
        ResumeError: ``folder`` holds a training with other settings or another identity.
        InputError: Another process trains in ``folder``.
    """
    # The loop casts by itself: accelerate allows one precision a process, and a process may train several models.
    this_process()
    accelerator = Accelerator(
        mixed_precision="no", kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)]
    )
    precision = run_precision(folder, settings)
    with alone_in(folder) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            claim(folder, settings, seed, identity)
            remove_temporaries(folder / "checkpoints")
        accelerator.wait_for_everyone()
        run = _Run(task, batches, settings, folder, seed, accelerator, precision, evaluate)
        with track(label, run.total_steps, "steps", done=run.progress.step) as meter:
            run.run(meter)
    return TrainingResult(run.progress.step, run.progress.best_value, run.progress.best_step)


def claim(folder: Path, settings: TrainingSettings, seed: int, identity: Mapping[str, Any] | None) -> None:
    """Make ``folder`` this training's; what prepares a training calls it before any long work.

    Raises:
        ResumeError: A training with other settings or another identity was begun there.
    """
    precision = _own_precision(folder, settings)
    resolved = settings.model_dump(mode="json") | {"precision": precision}
    # Dropout, and the draws of texts, views and wrong candidates, are each process's own.
    processes = this_process().num_processes
    claim_folder(folder, {"training": resolved, "seed": seed, "processes": processes, **(identity or {})})


def run_precision(folder: Path, settings: TrainingSettings) -> ResolvedPrecision:
    """Return the precision of the training in ``folder``, the same in every process; all of them must call this.

    "auto" keeps what the training began with: a second measurement could resume it in another precision.
    """
    chosen = [_own_precision(folder, settings) if this_process().is_main_process else None]
    precision: ResolvedPrecision = broadcast_object_list(chosen)[0]
    return precision


def _own_precision(folder: Path, settings: TrainingSettings) -> ResolvedPrecision:
    record = folder / SETTINGS_FILE
    recorded = read_json(record)["training"]["precision"] if record.is_file() else None
    return resolve_precision(settings.precision, this_process().device, recorded)


class _TaskModule(nn.Module):
    """A task as a module, so that a distributed wrapper sees all of its forward pass.

    The losses use parameters too (the temperature), and a wrapper around the model alone would take those for unused.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model = task.model
        self._training_forward = task.training_forward

    def forward(self, batch: Any) -> dict[str, Tensor]:
        return self._training_forward(self.model, batch)


class _Run:
    """One call of :func:`train`."""

    def __init__(
        self,
        task: Task,
        batches: Batches,
        settings: TrainingSettings,
        folder: Path,
        seed: int,
        accelerator: Accelerator,
        precision: ResolvedPrecision,
        evaluate: Evaluation | None,
    ) -> None:
        self.settings, self.folder, self.seed = settings, folder, seed
        self.accelerator, self.precision, self.evaluate = accelerator, precision, evaluate
        self.model, self.batches = task.model, batches
        self.total_steps = settings.total_steps(batches.steps_per_epoch, batches.stage_steps)
        self.model.to(accelerator.device)
        self.optimizer: Optimizer = make_optimizer(self.model, settings)
        # Not handed to accelerate, which would step it once for every process and so end it too early.
        self.schedule: LRScheduler = make_schedule(self.optimizer, settings, self.total_steps)
        self.progress: Progress = load_latest(folder / "checkpoints", self.model, self.optimizer, self.schedule)
        self._reported = self.progress.step  # the meter's
        self.module, self.stepper = accelerator.prepare(_TaskModule(task), self.optimizer)

    def run(self, meter: Meter) -> None:
        """Train from the step reached to the last."""
        first = self.progress.step
        upcoming = prefetched(self.batches.batch, range(first, self.total_steps), pin=torch.cuda.is_available())
        with MetricsLog(self.folder, first, self.accelerator.is_main_process) as log, StopRequest() as stop:
            with upcoming as batches:
                self.model.train()
                for step, batch in enumerate(batches, start=first):
                    self._step_and_report(step, batch, log, meter)
                    done, stopping = self.progress.step, self._all_agree_to_stop(stop.requested)
                    if stopping or done % self.settings.checkpoint_every == 0 or done == self.total_steps:
                        self._save()
                    if stopping:
                        raise KeyboardInterrupt

    def _step_and_report(self, step: int, batch: Any, log: MetricsLog, meter: Meter) -> None:
        started = time.perf_counter()
        rate = float(self.schedule.get_last_lr()[0])
        figures = self._train_step(step, batch)
        self.progress = replace(self.progress, step=step + 1)
        done, last = step + 1, step + 1 == self.total_steps
        if done % self.settings.log_every == 0 or last:
            values = {name: float(value) for name, value in figures.items()}
            if not math.isfinite(values["loss"]):
                raise LikebutError(f"The loss is {values['loss']} at step {done}.", _DIVERGED)
            seconds = time.perf_counter() - started
            epoch = max(done - self.batches.stage_steps, 0) / self.batches.steps_per_epoch
            log.write(done, {"epoch": round(epoch, 4), **values, "learning_rate": rate, "step_seconds": seconds})
            meter.advance(done - self._reported, loss=values["loss"], learning_rate=rate)
            self._reported = done
        every = self.settings.evaluate_every
        if self.evaluate is not None and every is not None and (done % every == 0 or last):
            self._evaluate(self.evaluate, log)

    def _train_step(self, step: int, batch: Any) -> dict[str, Tensor]:
        # Seeding every step makes dropout a function of seed and step: nothing to save, and an evaluation or a
        # resume in between changes nothing.
        set_seed(_step_seed(self.seed, step, self.accelerator.process_index))
        batch = to_device(batch, self.accelerator.device)
        with autocast(self.precision, self.accelerator.device):
            figures: dict[str, Tensor] = self.module(batch)
        loss = summed(figures)
        self.stepper.zero_grad()
        self.accelerator.backward(loss)
        if self.settings.gradient_clip is not None:
            norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
            figures = figures | {"gradient_norm": norm}
        self.stepper.step()
        if step + 1 < self.total_steps:
            self.schedule.step()
        return {name: value.detach() for name, value in figures.items()} | {"loss": loss.detach()}

    def _evaluate(self, evaluate: Evaluation, log: MetricsLog) -> None:
        self._require_finite_weights()
        self.model.eval()
        with torch.no_grad():
            figures = evaluate(self.progress.step)
        self.model.train()
        log.write(self.progress.step, {f"evaluation/{name}": value for name, value in figures.items()})
        metric = self.settings.best_metric
        if metric is None:
            return
        if metric not in figures:
            known = ", ".join(sorted(figures))
            raise LikebutError(f'The evaluation gives no figure "{metric}".', f"Set best_metric to one of: {known}.")
        if self.progress.best_value is None or figures[metric] > self.progress.best_value:
            self.progress = replace(self.progress, best_value=figures[metric], best_step=self.progress.step)
            if self.accelerator.is_main_process:
                save_best(self.folder, self.model)
                # At once, or a kill before the next checkpoint would leave best weights that nothing tells the step of.
                self._write_checkpoint()

    def _all_agree_to_stop(self, requested: bool) -> bool:
        """Return whether any process was asked to stop: one that stopped alone would leave the others waiting."""
        if self.accelerator.num_processes == 1:
            return requested
        asked = torch.tensor(float(requested), device=self.accelerator.device)
        return bool(self.accelerator.reduce(asked, "sum") > 0)

    def _save(self) -> None:
        # The loss is looked at every few steps only, and a checkpoint replaces the last good one.
        self._require_finite_weights()
        if self.accelerator.is_main_process:
            self._write_checkpoint()
        self.accelerator.wait_for_everyone()

    def _write_checkpoint(self) -> None:
        save_checkpoint(
            self.folder / "checkpoints",
            self.progress,
            self.model,
            self.optimizer,
            self.schedule,
            self.settings.keep_checkpoints,
        )

    def _require_finite_weights(self) -> None:
        if not all(bool(weight.isfinite().all()) for weight in self.model.parameters() if weight.requires_grad):
            raise LikebutError(
                f"The weights are no finite numbers any more after step {self.progress.step}.", _DIVERGED
            )


def _step_seed(seed: int, step: int, process: int) -> int:
    # Large odd multipliers keep (seed, step, process) apart within the 32 bits that numpy's seeding takes.
    return (seed * 0x9E3779B1 + step * 0x85EBCA77 + process * 0xC2B2AE3D) % 2**32
