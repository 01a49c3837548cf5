"""Where a model computes."""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from likebut.errors import InputError
from likebut.models.preset import Preset
from likebut.recipes.schema import Precision

_ON_CPU = "LIKEBUT_ON_CPU"


def require_device(device: torch.device | str | None = None) -> torch.device:
    """Return ``device``, or the GPU if there is one and none is named.

    Raises:
        InputError: This machine has no such device.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(chosen)
        # Only using it tells: a build of torch without CUDA knows the name all the same.
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError):  # the latter from a build of torch without CUDA
        raise InputError(f'There is no device "{chosen}" on this machine.', "Use cpu, or name no device.") from None
    return found


def choose_device(preset: Preset, device: torch.device | str | None = None) -> torch.device:
    """Return ``device``, or the GPU if there is one and none is named.

    Raises:
        InputError: This machine has no such device; or the preset is too large for a CPU, and ``$LIKEBUT_ON_CPU``
            does not say to try all the same.
    """
    chosen = require_device(device)
    if chosen.type == "cpu" and preset.needs_gpu and os.environ.get(_ON_CPU) != "1":
        raise InputError(
            f"The preset {preset.name} needs a GPU, and none is in use here.",
            f"Use a machine with a CUDA GPU, or set {_ON_CPU}=1 to go on very slowly, or take the preset small.",
        )
    return chosen


def to_device(batch: Any, device: torch.device) -> Any:
    """Return ``batch`` with every tensor in it on ``device``, half-precision ones widened to float32.

    float16 is how vision tokens are stored, not how they are computed with; they are widened after the transfer,
    which then moves half the bytes. Dataclasses and dicts are searched, anything else is left alone.
    """

    def moved(tensor: Tensor) -> Tensor:
        there = tensor.to(device, non_blocking=True)
        return there.float() if there.dtype == torch.float16 else there

    return map_tensors(batch, moved)


def pinned(batch: Any) -> Any:
    """Return ``batch`` with every tensor in page-locked memory, from which a GPU copies without waiting."""
    return map_tensors(batch, lambda tensor: tensor if tensor.is_cuda else tensor.pin_memory())


def map_tensors(value: Any, change: Any) -> Any:
    """Return ``value`` with ``change`` applied to every tensor in it."""
    if isinstance(value, Tensor):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{field.name: map_tensors(getattr(value, field.name), change) for field in fields(value)}
        )
    if isinstance(value, dict):
        return {name: map_tensors(item, change) for name, item in value.items()}
    return value


ResolvedPrecision = Literal["fp32", "bf16"]
# Without one of these a processor emulates bf16, slower than fp32.
_BF16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")


def resolve_precision(precision: Precision, device: torch.device) -> ResolvedPrecision:
    """Return the precision that "auto" stands for on ``device``; the others stand for themselves."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu" and any(torch.cpu.get_capabilities().get(name) for name in _BF16_INSTRUCTIONS):
        return "bf16"
    return "fp32"


def autocast(precision: ResolvedPrecision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which matrix products are computed in ``precision``."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


Part = TypeVar("Part")
Result = TypeVar("Result")


class SingleThreadPool:
    """As many threads as PyTorch takes cores, in each of which it takes one.

    PyTorch shares every layer out among its threads and waits for the slowest of them before it goes on to the next.
    For layers of a millisecond that costs as much as it gains, and many times more where other programs take turns on
    the cores: with two cores under load, 2 photographs a second were indexed that way. Parts that need not wait for
    each other lose nothing. The threads start with the first work that has several parts.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._starting = threading.Lock()
        self._process = os.getpid()

    def map(self, work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
        """Return what ``work`` makes of each part, in order; a single part is computed here, on all cores."""
        listed = list(parts)
        count = torch.get_num_threads()
        if count == 1 or len(listed) < 2:
            return [work(part) for part in listed]
        return list(self._threads(count).map(work, listed))

    def _threads(self, count: int) -> ThreadPoolExecutor:
        if self._process != os.getpid():
            # A forked process has the pool and none of its threads, and perhaps a lock that nobody will open.
            self._pool, self._starting, self._process = None, threading.Lock(), os.getpid()
        with self._starting:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(count, "core")
                everyone = threading.Barrier(count)
                list(self._pool.map(_compute_alone, [everyone] * count))
                # The number is each thread's own, but a thread that is yet to come takes the number set last.
                torch.set_num_threads(count)
            return self._pool


def _compute_alone(everyone: threading.Barrier) -> None:
    torch.get_num_threads()  # takes the common number; would do so later, and undo what follows, if not now
    torch.set_num_threads(1)
    everyone.wait()
