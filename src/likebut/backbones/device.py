"""Where a model computes."""

import os

import torch

from likebut.backbones.preset import Preset
from likebut.errors import InputError

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
