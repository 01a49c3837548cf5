"""Moving a batch to where the model is."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor


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
