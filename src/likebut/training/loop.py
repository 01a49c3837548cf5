"""The training loop: steps a task, logs, evaluates, checkpoints and resumes. It knows nothing of retrieval."""

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
from accelerate.utils import DistributedDataParallelKwargs, set_seed
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
    claim_folder,
    load_latest,
    lock_folder,
    save_best,
    save_checkpoint,
)
from likebut.training.metrics_log import MetricsLog
from likebut.training.schedule import make_optimizer, make_schedule
from likebut.training.tasks import Task, summed

Evaluation = Callable[[int], Mapping[str, float]]
"""Called with the number of completed steps, in eval mode and without gradient; returns metrics by name."""

_BATCHES_AHEAD = 2
_DIVERGED = "Train in another folder with a lower training.learning_rate."


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        steps: Completed steps, those before a resume included.
        best_value: Best value of the metric that selects the best weights.
        best_step: The step after which it was reached; the weights are in ``best.safetensors``.
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
    greater_is_better: bool = True,
    label: str = "training",
) -> TrainingResult:
    """Train ``task.model`` in place, resuming from the latest checkpoint in ``folder`` if there is one.

    Killed at any moment and called again with the same arguments, it ends with the same weights (on a CPU bit for bit).
    Ctrl-C writes a checkpoint and raises ``KeyboardInterrupt``.

    Args:
        task: Model and losses.
        batches: The training data.
        settings: Settings of the loop.
        folder: Where checkpoints, ``metrics.jsonl`` and TensorBoard events are written.
        seed: Of dropout and other random numbers in the model.
        identity: What else the result depends on (recipe, data); a resume with another identity is refused.
        evaluate: Called every ``settings.evaluate_every`` steps.
        greater_is_better: The direction of ``settings.best_metric``.
        label: Label of the progress bar.

    Raises:
        ResumeError: ``folder`` holds a training with other settings or another identity.
        InputError: Another process trains in ``folder``.
    """
    this_process()
    # The loop casts by itself: accelerate allows one precision per process, and a process may train several models.
    accelerator = Accelerator(
        mixed_precision="no", kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)]
    )
    is_main = accelerator.is_main_process
    with lock_folder(folder) if is_main else nullcontext():
        if is_main:
            claim(folder, settings, seed, identity)
            remove_temporaries(folder / "checkpoints")
        accelerator.wait_for_everyone()
        precision = run_precision(folder, settings)
        loop = _Loop(task, batches, settings, folder, seed, accelerator, precision, evaluate, greater_is_better)
        progress_bar = track(label, loop.total_steps, "steps", done=loop.progress.step) if is_main else nullcontext()
        with progress_bar as meter:
            loop.run(meter)
    return TrainingResult(loop.progress.step, loop.progress.best_value, loop.progress.best_step)


def claim(folder: Path, settings: TrainingSettings, seed: int, identity: Mapping[str, Any] | None) -> None:
    """Record the settings of a training in ``folder``; called before the long work that prepares a training.

    Raises:
        ResumeError: ``folder`` holds a training with other settings or another identity.
    """
    resolved = settings.model_dump(mode="json") | {"precision": run_precision(folder, settings)}
    # Dropout and the random choices of texts, views and hard negatives differ between processes.
    processes = this_process().num_processes
    claim_folder(folder, {"training": resolved, "seed": seed, "processes": processes, **(identity or {})})


def run_precision(folder: Path, settings: TrainingSettings) -> ResolvedPrecision:
    """Return the precision of the training in ``folder``: "auto" is resolved once, and a resume keeps the result."""
    recorded = folder / SETTINGS_FILE
    if settings.precision == "auto" and recorded.is_file():
        precision: ResolvedPrecision = read_json(recorded)["training"]["precision"]
        return precision
    return resolve_precision(settings.precision, this_process().device)


class StopRequest:
    """Within the block, Ctrl-C and SIGTERM set ``requested``; a second one raises ``KeyboardInterrupt``.

    Has no effect outside the main thread, where Python allows no signal handlers.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        """Install the handlers."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the previous handlers."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


# Batches are functions of seed and step, instead of a DataLoader with a stateful sampler: a resume then needs no state
# of workers and prefetched batches, and is exact after a kill between any two steps.
@contextmanager
def prefetched(make: Callable[[int], Any], steps: range, pin: bool = False) -> Iterator[Iterator[Any]]:
    """Yield an iterator over ``make(step)`` for every step, computed up to two steps ahead.

    An error in ``make`` is raised where its batch is requested. Leaving the block ends the thread.

    Args:
        make: Returns a batch; called in one background thread, in the order of ``steps``.
        steps: The steps.
        pin: Whether tensors are copied to page-locked memory.
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


class _TaskModule(nn.Module):
    """A task as a module, so that DistributedDataParallel wraps the whole forward pass.

    The losses use parameters as well (the temperature); a wrapper around the model alone would consider them unused.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model = task.model
        self._training_forward = task.training_forward

    def forward(self, batch: Any) -> dict[str, Tensor]:
        return self._training_forward(self.model, batch)


class _LogWindow:
    """Measures the seconds per step since the last log line, without evaluations and checkpoints.

    A GPU runs behind the loop, so a single step cannot be timed without synchronising it. The metrics of a log line are
    read from the GPU, which synchronises it: the time between two log lines is that of their steps.
    """

    def __init__(self) -> None:
        self._started, self._steps = time.perf_counter(), 0

    def count_step(self) -> None:
        self._steps += 1

    def step_seconds(self) -> float:
        """Return the seconds per step and start the next window."""
        now = time.perf_counter()
        seconds = (now - self._started) / self._steps
        self._started, self._steps = now, 0
        return seconds

    @contextmanager
    def paused(self) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._started += time.perf_counter() - begin


class _Loop:
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
        greater_is_better: bool,
    ) -> None:
        self.settings, self.folder, self.seed = settings, folder, seed
        self.accelerator, self.precision = accelerator, precision
        self.evaluate, self.greater_is_better = evaluate, greater_is_better
        self.task, self.model, self.batches = task, task.model, batches
        self.total_steps = settings.total_steps(batches.steps_per_epoch, batches.stage_steps)
        self.model.to(accelerator.device)
        self.optimizer: Optimizer = make_optimizer(self.model, settings)
        # Not prepared by accelerate, which would step it once per process and end it too early.
        self.schedule: LRScheduler = make_schedule(self.optimizer, settings, self.total_steps)
        self.progress: Progress = load_latest(folder / "checkpoints", self.model, self.optimizer, self.schedule)
        self._reported = self.progress.step  # by the progress bar
        self._window = _LogWindow()
        self.module, self.stepper = accelerator.prepare(_TaskModule(task), self.optimizer)

    def run(self, meter: Meter | None) -> None:
        """Train from the step reached to the last; ``meter`` is None in all processes but the main one."""
        first = self.progress.step
        upcoming = prefetched(self.batches.batch, range(first, self.total_steps), pin=torch.cuda.is_available())
        with MetricsLog(self.folder, first, self.accelerator.is_main_process) as log, StopRequest() as stop:
            with upcoming as batches:
                self.model.train()
                self._window = _LogWindow()
                for step, batch in enumerate(batches, start=first):
                    self._step_and_report(step, batch, log, meter)
                    done, stopping = self.progress.step, self._any_process_stops(stop.requested)
                    if stopping or done % self.settings.checkpoint_every == 0 or done == self.total_steps:
                        self._save()
                    if stopping:
                        raise KeyboardInterrupt

    def _step_and_report(self, step: int, batch: Any, log: MetricsLog, meter: Meter | None) -> None:
        rate = float(self.schedule.get_last_lr()[0])
        metrics = self._train_step(step, batch)
        self._window.count_step()
        self.progress = replace(self.progress, step=step + 1)
        done, last = step + 1, step + 1 == self.total_steps
        if done % self.settings.log_every == 0 or last:
            values = {name: float(value) for name, value in metrics.items()}
            if not math.isfinite(values["loss"]):
                raise LikebutError(f"The loss is {values['loss']} at step {done}.", _DIVERGED, "diverged")
            seconds = self._window.step_seconds()
            epoch = max(done - self.batches.stage_steps, 0) / self.batches.steps_per_epoch
            log.write(done, {"epoch": round(epoch, 4), **values, "learning_rate": rate, "step_seconds": seconds})
            if meter is not None:
                meter.advance(done - self._reported, loss=values["loss"], learning_rate=rate)
            self._reported = done
        every = self.settings.evaluate_every
        if self.evaluate is not None and every is not None and (done % every == 0 or last):
            self._evaluate(self.evaluate, log)

    def _train_step(self, step: int, batch: Any) -> dict[str, Tensor]:
        # Seeding every step makes dropout a function of seed and step: there is no generator state to save, and an
        # evaluation or a resume in between changes nothing.
        set_seed(_step_seed(self.seed, step, self.accelerator.process_index))
        batch = to_device(batch, self.accelerator.device)
        with autocast(self.precision, self.accelerator.device):
            metrics: dict[str, Tensor] = self.module(batch)
        loss = summed(metrics)
        self.stepper.zero_grad()
        self.accelerator.backward(loss)
        if self.settings.gradient_clip is not None:
            norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
            metrics = metrics | {"gradient_norm": norm}
        self.stepper.step()
        self.task.after_step()
        if step + 1 < self.total_steps:
            self.schedule.step()
        return {name: value.detach() for name, value in metrics.items()} | {"loss": loss.detach()}

    def _evaluate(self, evaluate: Evaluation, log: MetricsLog) -> None:
        self._require_finite_weights()
        with self._window.paused():
            self.model.eval()
            with torch.no_grad():
                metrics = evaluate(self.progress.step)
            self.model.train()
            log.write(self.progress.step, {f"evaluation/{name}": value for name, value in metrics.items()})
            self._keep_best(metrics)

    def _keep_best(self, metrics: Mapping[str, float]) -> None:
        metric = self.settings.best_metric
        if metric is None:
            return
        if metric not in metrics:
            known = ", ".join(sorted(metrics))
            raise LikebutError(
                f'The evaluation has no metric "{metric}".', f"Set best_metric to one of: {known}.", "unknown-metric"
            )
        value, best = metrics[metric], self.progress.best_value
        if best is None or (value > best if self.greater_is_better else value < best):
            self.progress = replace(self.progress, best_value=value, best_step=self.progress.step)
            if self.accelerator.is_main_process:
                save_best(self.folder, self.model)
                # At once: a kill before the next checkpoint would leave best weights of an unknown step.
                self._write_checkpoint()

    def _any_process_stops(self, requested: bool) -> bool:
        """Return whether any process was asked to stop; one that stopped alone would leave the others waiting."""
        if self.accelerator.num_processes == 1:
            return requested
        requests = torch.tensor(float(requested), device=self.accelerator.device)
        return bool(self.accelerator.reduce(requests, "sum") > 0)

    def _save(self) -> None:
        # The loss is checked only at log lines, and a checkpoint replaces the last good one.
        self._require_finite_weights()
        with self._window.paused():
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
            raise LikebutError(f"Weights contain NaN or Inf after step {self.progress.step}.", _DIVERGED, "diverged")


def _step_seed(seed: int, step: int, process: int) -> int:
    # Large odd multipliers keep (seed, step, process) apart within the 32 bits of numpy's seed.
    return (seed * 0x9E3779B1 + step * 0x85EBCA77 + process * 0xC2B2AE3D) % 2**32
