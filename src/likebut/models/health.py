"""Checks of the installation: versions, threads, accelerator, cache and models. None of them uses the network."""

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch

from likebut.files import home_folder
from likebut.models.catalogue import list_models
from likebut.models.devices import measure_matmul, resolve_precision

_LIBRARIES = ("torch", "transformers", "lancedb", "pyarrow", "numpy", "pillow")
_MIN_FREE_BYTES = 2_000_000_000
_DEFAULT_PRESET = "small"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        name: What was checked.
        state: "note" requires no action; "problem" makes ``likebut doctor`` fail.
        detail: What was found.
        remedy: How to fix it; empty if nothing has to be fixed.
    """

    name: str
    state: Literal["ok", "note", "problem"]
    detail: str
    remedy: str = ""


def check_installation() -> Iterator[Check]:
    """Yield the result of each check of this machine and of what is installed on it."""
    yield Check("likebut", "ok", f"{importlib.metadata.version('likebut')}, Python {platform.python_version()}")
    yield Check("libraries", "ok", ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES))
    yield _check_threads()
    yield _check_accelerator()
    yield _check_precision()
    yield _check_cache()
    yield from _check_models()


def _check_threads() -> Check:
    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    if threads < cores:
        return Check(
            "threads",
            "note",
            f"PyTorch uses {threads} of {cores} cores",
            "Unset OMP_NUM_THREADS, unless other programs need the remaining cores.",
        )
    return Check("threads", "ok", f"PyTorch uses all {cores} cores")


def _check_accelerator() -> Check:
    if torch.cuda.is_available():
        precision = resolve_precision("auto", torch.device("cuda"))
        return Check("accelerator", "ok", f"{torch.cuda.get_device_name()}, precision auto is {precision}")
    if shutil.which("nvidia-smi"):
        return Check(
            "accelerator",
            "problem",
            f"this machine has an NVIDIA GPU that torch {torch.__version__} does not detect",
            "Install a CUDA build of torch that matches the driver: https://pytorch.org/get-started",
        )
    return Check("accelerator", "ok", "none; only the preset paper needs a GPU")


def _check_precision() -> Check:
    precision, speed = resolve_precision("auto", torch.device("cpu")), measure_matmul()
    measured = f"fp32 {speed.fp32:.0f} GFLOPS, bf16 {speed.bf16:.0f} GFLOPS with {torch.get_num_threads()} threads"
    return Check("precision", "ok", f"auto is {precision} on the CPU: matrix products at {measured}")


def _check_cache() -> Check:
    folder = home_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    if not os.access(existing, os.W_OK):
        return Check("cache", "problem", f"{folder} is not writable", "Set LIKEBUT_HOME to a writable folder.")
    free = shutil.disk_usage(existing).free
    detail = f"{folder}, {free / 1e9:.1f} GB free on its disk"
    if free < _MIN_FREE_BYTES:
        return Check("cache", "problem", detail, "Free some space, or set LIKEBUT_HOME to a folder on another disk.")
    return Check("cache", "ok", detail)


def _check_models() -> Iterator[Check]:
    models = list_models()
    for model in models:
        if model.name == _DEFAULT_PRESET and not model.ready:
            remedy = f"Run `likebut models pull {_DEFAULT_PRESET}`."
            yield Check(f"preset {_DEFAULT_PRESET}", "problem", "its pretrained parts are missing", remedy)
        elif model.kind == "preset" and model.ready:
            yield Check(f"preset {model.name}", "ok", "its pretrained parts are on this machine")
    weights = [model.name for model in models if model.kind == "weights"]
    if weights:
        yield Check("trained weights", "ok", ", ".join(weights))
    else:
        remedy = "Train a model, or give a folder or hub id with --model."
        yield Check("trained weights", "note", "none ship with this installation", remedy)
