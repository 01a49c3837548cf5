"""Which precision the processor multiplies matrices fast in."""

from contextlib import AbstractContextManager
from typing import Literal

import torch

from likebut.recipes.training import Precision

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
