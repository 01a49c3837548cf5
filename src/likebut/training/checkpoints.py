"""Checkpoints of a training, written atomically so that a kill leaves a complete one."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from likebut.errors import InputError, ResumeError
from likebut.files import atomic_path, read_json, write_json
from likebut.models.model_folder import load_trained_state, trained_state
from likebut.settings import differences

MODEL_FILE = "model.safetensors"
OPTIMIZER_FILE = "optimizer.pt"
STATE_FILE = "state.json"
BEST_FILE = "best.safetensors"
SETTINGS_FILE = "training.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training has come.

    Attributes:
        step: Completed steps.
        best_value: Best value so far of the metric that selects the best weights.
        best_step: The step after which it was reached.
    """

    step: int = 0
    best_value: float | None = None
    best_step: int | None = None


def save_checkpoint(
    folder: Path, progress: Progress, model: nn.Module, optimizer: Optimizer, schedule: LRScheduler, keep: int
) -> None:
    """Write a checkpoint below ``folder`` and remove all but the latest ``keep``.

    States of random generators are not stored: the loop seeds them from seed and step.
    """
    path = folder / f"step-{progress.step:08d}"
    if not path.exists():
        with atomic_path(path) as temporary:
            temporary.mkdir()
            _save_weights(model, temporary / MODEL_FILE)
            torch.save(
                {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}, temporary / OPTIMIZER_FILE
            )
            write_json(
                temporary / STATE_FILE,
                {"step": progress.step, "best_value": progress.best_value, "best_step": progress.best_step},
            )
            for file in temporary.iterdir():
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)


def checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints below ``folder``, the latest last."""
    return sorted(path for path in folder.glob("step-*") if (path / STATE_FILE).is_file())


def load_latest(folder: Path, model: nn.Module, optimizer: Optimizer, schedule: LRScheduler) -> Progress:
    """Load the latest checkpoint below ``folder``, if there is one, into model, optimizer and schedule."""
    found = checkpoints(folder)
    if not found:
        return Progress()
    latest = found[-1]
    load_weights(model, latest / MODEL_FILE)
    states = torch.load(latest / OPTIMIZER_FILE, map_location="cpu", weights_only=True)
    optimizer.load_state_dict(states["optimizer"])
    schedule.load_state_dict(states["schedule"])
    return Progress(**read_json(latest / STATE_FILE))


def load_weights(model: nn.Module, path: Path) -> None:
    """Load the trained weights of a checkpoint file into ``model``.

    Raises:
        InputError: The file is missing or damaged, or its names or shapes are not those of the model.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Check the path.", "missing-file")
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path} cannot be read as safetensors ({error}).", "Give an undamaged file.", "damaged-weights"
        ) from None
    load_trained_state(model, weights, path)


def save_best(folder: Path, model: nn.Module) -> None:
    """Write the weights of the best step so far, replacing the previous ones."""
    with atomic_path(folder / BEST_FILE) as temporary:
        _save_weights(model, temporary)


def claim_folder(folder: Path, settings: Mapping[str, Any]) -> None:
    """Record the settings of a training in ``folder``, or check them against those recorded there.

    Raises:
        ResumeError: The recorded settings differ; the message names each difference.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        write_json(path, settings)
        return
    changed = differences(read_json(path), settings)
    if changed:
        raise ResumeError(
            f"The training in {folder} was started with other settings: {'; '.join(changed)}.",
            "Give the same settings or another folder, or remove that folder.",
        )


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of ``folder`` within the block; the operating system releases it if the process is killed.

    Raises:
        InputError: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "training.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"Another process trains in {folder}.", "Wait until it has ended, or give another folder.", "folder-in-use"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _save_weights(model: nn.Module, path: Path) -> None:
    save_file({name: value.cpu().contiguous() for name, value in trained_state(model).items()}, path)
