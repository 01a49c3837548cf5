"""Checkpoints: everything needed to go on with a training, written so that a kill leaves a whole one."""

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
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from likebut.errors import InputError, ResumeError
from likebut.files import atomic_path, read_json, write_json
from likebut.settings import differences

MODEL_FILE = "model.safetensors"
OPTIMIZER_FILE = "optimizer.pt"
STATE_FILE = "state.json"
BEST_FILE = "best.safetensors"
SETTINGS_FILE = "training.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is.

    Attributes:
        step: Steps done.
        best_value: The best value of the metric that chooses the best weights, so far.
        best_step: The step after which it was reached.
    """

    step: int = 0
    best_value: float | None = None
    best_step: int | None = None


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that are trained, by name, on the processor."""
    return {
        name: parameter.detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def load_trained_weights(model: nn.Module, path: Path) -> None:
    """Put the weights in ``path`` into ``model``.

    Raises:
        InputError: The file is damaged, or its names and shapes are not those of the trained parameters.
    """
    weights = _read_weights(path)
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    differing = sorted(weights.keys() ^ parameters.keys())
    differing += [name for name in weights.keys() & parameters.keys() if weights[name].shape != parameters[name].shape]
    if differing:
        raise InputError(
            f"The weights in {path} are another model's: {len(differing)} parameters differ, {differing[0]} first.",
            "Give weights of the same model.",
        )
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(value)


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Check the path.")
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read as safetensors ({error}).", "Give an undamaged file.") from None


def save_checkpoint(
    folder: Path, progress: Progress, model: nn.Module, optimizer: Optimizer, schedule: LRScheduler, keep: int
) -> None:
    """Write a checkpoint below ``folder`` and remove all but the latest ``keep``.

    Random generators are not in it: the loop seeds them anew from seed and step.
    """
    path = folder / f"step-{progress.step:08d}"
    if not path.exists():
        with atomic_path(path) as temporary:
            temporary.mkdir()
            save_file(trained_weights(model), temporary / MODEL_FILE)
            torch.save(
                {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}, temporary / OPTIMIZER_FILE
            )
            write_json(
                temporary / STATE_FILE,
                {"step": progress.step, "best_value": progress.best_value, "best_step": progress.best_step},
            )
            for file in temporary.iterdir():
                _flush_to_disk(file)
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints below ``folder``, the latest last."""
    return sorted(path for path in folder.glob("step-*") if (path / STATE_FILE).is_file())


def load_latest(folder: Path, model: nn.Module, optimizer: Optimizer, schedule: LRScheduler) -> Progress:
    """Put the latest checkpoint below ``folder``, if there is one, into model, optimiser and schedule."""
    found = checkpoints(folder)
    if not found:
        return Progress()
    latest = found[-1]
    load_trained_weights(model, latest / MODEL_FILE)
    states = torch.load(latest / OPTIMIZER_FILE, map_location="cpu", weights_only=True)
    optimizer.load_state_dict(states["optimizer"])
    schedule.load_state_dict(states["schedule"])
    return Progress(**read_json(latest / STATE_FILE))


def save_best(folder: Path, model: nn.Module) -> None:
    """Write the weights as the best so far, replacing those before."""
    with atomic_path(folder / BEST_FILE) as temporary:
        save_file(trained_weights(model), temporary)


def claim_folder(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make ``folder`` this training's, or check that it is.

    Raises:
        ResumeError: A training with other settings was begun there; the message names each difference.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        write_json(path, settings)
        return
    changed = differences(read_json(path), settings)
    if changed:
        raise ResumeError(
            f"The training in {folder} was begun with other settings: {'; '.join(changed)}.",
            "Give the same settings, another folder, or remove that one.",
        )


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold ``folder`` as its only training; however the process ends, it is free again.

    Raises:
        InputError: Another process trains there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "training.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"Another process trains in {folder}.", "Wait until it has ended, or give another folder."
        ) from None
    try:
        yield
    finally:
        lock.release()
