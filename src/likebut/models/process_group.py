"""Which of several processes that train together this one is."""

from collections.abc import Callable
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from torch import Tensor, distributed

from likebut.data.sampling import DataShard


def this_process() -> PartialState:
    """Return accelerate's account of this process: its number, how many there are, its device.

    Everything in training asks here and never makes a bare ``PartialState()``: that one does not read the launcher's
    wish for processors, and would take several processes without a GPU for single ones.
    """
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))


def is_distributed() -> bool:
    """Return whether several processes train together."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def gather_with_gradient(embeddings: Tensor) -> Tensor:
    """Return the rows of all processes, in rank order; the gradient flows back to the process each row came from.

    Args:
        embeddings: (B, …), with the same B in every process.

    Returns:
        (processes × B, …).
    """
    if not is_distributed():
        return embeddings
    gather: Callable[[Tensor], Tensor] = _GatherRows.apply
    return gather(embeddings)


def gather_ids(ids: Tensor) -> Tensor:
    """Return (processes × B,) ids for (B,) ids, in rank order."""
    return _gathered(ids) if is_distributed() else ids


def gather_lists(rows: list[list[int]]) -> list[list[int]]:
    """Return the rows of all processes, of any lengths, in rank order."""
    if not is_distributed():
        return rows
    parts: list[list[list[int]]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(parts, rows)
    return [row for part in parts for row in part]


def first_label(batch: int) -> int:
    """Return where this process's rows begin among the gathered ones."""
    return distributed.get_rank() * batch if is_distributed() else 0


class _GatherRows(torch.autograd.Function):
    """PyTorch's own ``distributed.nn.all_gather`` scrambles gradients that are not contiguous, as einsum's are."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.rows = len(rows)
        return _gathered(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        summed = gradients[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(summed)
        start = first_label(ctx.rows)
        return summed[start : start + ctx.rows]


def _gathered(rows: Tensor) -> Tensor:
    rows = rows.detach().contiguous()
    parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, rows)
    return torch.cat(parts)


def own_data_shard() -> DataShard:
    """Return which part of every batch this process takes."""
    state = this_process()
    return DataShard(state.process_index, state.num_processes)
