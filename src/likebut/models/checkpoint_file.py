"""Checkpoint files of other programs: ``.pth``, ``.pt`` and safetensors."""

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

_WRAPPER = "module."  # the prefix of PyTorch's DistributedDataParallel


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint.

    Attributes:
        path: The file.
        tensors: Tensors by their names in the file.
        config: The object under "config" in the safetensors metadata; empty if there is none.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, memory-mapped if the file format allows it.

    Pickled checkpoints are opened with ``weights_only=True``, so that no code in them runs. The tensors may be nested
    under one key ("model", "state_dict", a class name) next to other entries.

    Raises:
        InputError: The file is missing, damaged, has no tensors, or has more than tensors and plain values.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Give a .pth, .pt or .safetensors file.", "no-such-file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError:
        raise InputError(
            f"{path} has more than tensors and plain values, so that opening it could run code.",
            "If you trust it, save its tensors alone (torch.save(model.state_dict(), …)) or as .safetensors.",
            code="unsafe-pickle",
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
        raise InputError(f"{path} cannot be read as a checkpoint ({reason}).", "Download it again.") from None
    return Checkpoint(path, _without_wrapper(_tensors_in(content, path)))


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read as safetensors ({error}).", "Download it again.") from None
    if not tensors:
        raise InputError(f"{path} has no tensors.", "Give a checkpoint with weights.", "no-tensors")
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
    raise InputError(f"{path} has no named tensors.", "Give a checkpoint with weights.", "no-tensors")


def _without_wrapper(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    if all(name.startswith(_WRAPPER) for name in tensors):
        return {name.removeprefix(_WRAPPER): value for name, value in tensors.items()}
    return tensors
