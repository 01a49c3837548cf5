"""Checkpoints of other programs: ``.pth`` and ``.pt`` files, and safetensors with their metadata."""

import json
import pickle
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from likebut.errors import InputError

_WRAPPER = "module."  # what PyTorch's DistributedDataParallel puts before every name


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Tensors by name.

    Attributes:
        path: The file.
        tensors: By the names in the file.
        config: What the file's metadata says under "config", if anything.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the tensors of a checkpoint, memory-mapped where the file's form allows it.

    A pickled checkpoint is opened with ``weights_only=True``: no code in it runs. The tensors may be nested under one
    key ("model", "state_dict", a class's name) beside other things.

    Raises:
        InputError: The file is missing, damaged, holds more than tensors and plain values, or no tensors.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Give a checkpoint: a .pth, .pt or .safetensors file.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError:
        raise InputError(
            f"{path} holds more than tensors and plain values, so opening it could run somebody's code.",
            "Save its tensors alone (torch.save(model.state_dict(), …)) where you trust it, or as .safetensors.",
        ) from None
    except (
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        LookupError,
        AssertionError,
        struct.error,
        zipfile.BadZipFile,
    ) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as a checkpoint ({reason}).", "Fetch it again.") from None
    return Checkpoint(path, _without_wrapper(_tensors_in(content, path)))


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read as safetensors ({error}).", "Fetch it again.") from None
    if not tensors:
        raise InputError(f"{path} holds no tensors.", "Give a checkpoint with weights in it.")
    return Checkpoint(path, _without_wrapper(tensors), _config_in(metadata))


def _config_in(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        config = json.loads(metadata.get("config", "{}"))
    except json.JSONDecodeError:
        return {}
    return config if isinstance(config, dict) else {}


def _tensors_in(content: Any, path: Path) -> Mapping[str, Tensor]:
    candidates = [content]
    if isinstance(content, dict):
        candidates += [content[key] for key in ("model", "state_dict") if key in content]
        candidates += [value for key, value in content.items() if key not in ("model", "state_dict", "optimizer")]
    for candidate in candidates:
        if isinstance(candidate, dict) and candidate and all(isinstance(v, Tensor) for v in candidate.values()):
            return candidate
    raise InputError(f"{path} holds no tensors by name.", "Give a checkpoint with weights in it.")


def _without_wrapper(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    if all(name.startswith(_WRAPPER) for name in tensors):
        return {name.removeprefix(_WRAPPER): value for name, value in tensors.items()}
    return tensors
