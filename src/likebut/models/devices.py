"""Where and in which precision a model computes: devices, autocast precision, batches on a device, CPU threads."""

import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from likebut.errors import InputError
from likebut.models.preset import Preset
from likebut.recipes.schema import Precision

ResolvedPrecision = Literal["fp32", "bf16"]
Part = TypeVar("Part")
Result = TypeVar("Result")

_ON_CPU = "LIKEBUT_ON_CPU"
_MATMUL_ROUNDS = 4
_EMULATED = 20  # bf16 that is this many times slower than fp32 is emulated: one round is enough
_WORTH_CASTING = 1.2  # autocast also casts states and weights, so equal speed is a loss


def require_device(device: torch.device | str | None = None) -> torch.device:
    """Return ``device``; by default the GPU if there is one, else the CPU.

    Raises:
        InputError: This machine has no such device.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(chosen)
        # A build of torch without CUDA accepts the name "cuda" and fails on first use.
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError):  # AssertionError from a build of torch without CUDA
        raise InputError(
            f'This machine has no device "{chosen}".', "Use cpu, or omit the device.", code="no-such-device"
        ) from None
    return found


def choose_device(preset: Preset, device: torch.device | str | None = None) -> torch.device:
    """Return ``device`` for a preset; by default the GPU if there is one, else the CPU.

    Raises:
        InputError: This machine has no such device, or the preset needs a GPU, the device is a CPU and
            ``$LIKEBUT_ON_CPU`` is not 1.
    """
    chosen = require_device(device)
    if chosen.type == "cpu" and preset.needs_gpu and os.environ.get(_ON_CPU) != "1":
        raise InputError(
            f"The preset {preset.name} needs a GPU, but the device is a CPU.",
            f"Use a machine with a CUDA GPU, use the preset small, or set {_ON_CPU}=1 to run very slowly.",
            code="needs-gpu",
        )
    return chosen


@dataclass(frozen=True, slots=True)
class MatmulSpeed:
    """Measured speed of matrix products on the CPU, in GFLOPS."""

    fp32: float
    bf16: float


@cache
def measure_matmul() -> MatmulSpeed:
    """Measure fp32 and bf16 matrix products on the CPU, once per process; it takes milliseconds.

    The product is that of a feed-forward block of the preset small in training: 512 positions, 384 → 1536.
    """
    rows, width, inner = 512, 384, 1536
    operands = {
        dtype: (torch.ones(rows, width, dtype=dtype), torch.ones(inner, width, dtype=dtype))
        for dtype in (torch.float32, torch.bfloat16)
    }
    best = dict.fromkeys(operands, math.inf)
    with torch.inference_mode():
        # The precisions take turns so that load from other programs slows both; the minimum discards the warm-up.
        for _ in range(_MATMUL_ROUNDS):
            for dtype, (states, weight) in operands.items():
                started = time.perf_counter()
                functional.linear(states, weight)
                best[dtype] = min(best[dtype], time.perf_counter() - started)
            if best[torch.bfloat16] > _EMULATED * best[torch.float32]:
                break
    gigaflop = 2 * rows * width * inner / 1e9
    return MatmulSpeed(gigaflop / best[torch.float32], gigaflop / best[torch.bfloat16])


def resolve_precision(
    precision: Precision, device: torch.device, recorded: ResolvedPrecision | None = None
) -> ResolvedPrecision:
    """Return the precision that a setting means on ``device``.

    "auto" means bf16 on a GPU that supports it, and on a CPU where :func:`measure_matmul` finds bf16 faster. CPU flags
    decide nothing: on some CPUs with ``avx512_bf16`` fp32 is 1.9 times faster.

    Args:
        precision: The setting.
        device: Where the model computes.
        recorded: The precision that an unfinished run recorded; "auto" keeps it, so that resuming changes nothing.
    """
    if precision != "auto":
        return precision
    if recorded is not None:
        return recorded
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu":
        speed = measure_matmul()
        return "bf16" if speed.bf16 > _WORTH_CASTING * speed.fp32 else "fp32"
    return "fp32"


def autocast(precision: ResolvedPrecision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which matrix products are computed in ``precision``."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def to_device(batch: Any, device: torch.device) -> Any:
    """Return ``batch`` with every tensor on ``device`` and float16 tensors widened to float32.

    Dataclasses and dicts are searched, other values are kept. ``accelerate.utils.send_to_device`` skips dataclasses.
    """

    def moved(tensor: Tensor) -> Tensor:
        there = tensor.to(device, non_blocking=True)
        # Vision tokens are stored in float16 and computed with in float32; widening here transfers half the bytes.
        return there.float() if there.dtype == torch.float16 else there

    return map_tensors(batch, moved)


def pinned(batch: Any) -> Any:
    """Return ``batch`` with every tensor in page-locked memory, from which a GPU copies asynchronously."""
    return map_tensors(batch, lambda tensor: tensor if tensor.is_cuda else tensor.pin_memory())


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
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


class SingleThreadPool:
    """A pool of as many threads as PyTorch uses cores; in each of them PyTorch uses one.

    PyTorch splits every layer over its threads and waits for the slowest before the next layer. For layers of a
    millisecond that costs as much as it gains, and far more when other programs use the cores: two loaded cores
    indexed 2 photographs a second that way. Independent parts of a batch avoid the waiting. The threads start with the
    first call that has several parts.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._starting = threading.Lock()
        self._process = os.getpid()

    def map(self, work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
        """Return ``work(part)`` for each part, in order; a single part is computed in the caller, on all cores."""
        listed = list(parts)
        count = torch.get_num_threads()
        if count == 1 or len(listed) < 2:
            return [work(part) for part in listed]
        return list(self._threads(count).map(work, listed))

    def _threads(self, count: int) -> ThreadPoolExecutor:
        if self._process != os.getpid():
            # A forked process inherits the pool without its threads, and perhaps a lock that is held forever.
            self._pool, self._starting, self._process = None, threading.Lock(), os.getpid()
        with self._starting:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(count, "core")
                all_started = threading.Barrier(count)
                list(self._pool.map(_use_one_core, [all_started] * count))
                # The number is per thread, but a thread that starts later inherits the number set last.
                torch.set_num_threads(count)
            return self._pool


def _use_one_core(all_started: threading.Barrier) -> None:
    torch.get_num_threads()  # initialises the thread's number, which would otherwise overwrite the next line later
    torch.set_num_threads(1)
    all_started.wait()
