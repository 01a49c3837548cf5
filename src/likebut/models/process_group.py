"""Distributed training: the process group, and gathering tensors with gradient."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from torch import Tensor, distributed

from likebut.data.sampling import DataShard


def this_process() -> PartialState:
    """Return accelerate's state of this process (rank, number of processes, device), joining the process group.

    The first call initialises the process group from the environment that ``torchrun`` or ``accelerate launch`` sets:
    with nccl if there is a GPU, else with gloo. A bare ``PartialState()`` would do so on GPUs alone and take several
    processes without a GPU for single ones, so everything in training calls this function instead.
    """
    launched_on_cpu = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()
    return PartialState(cpu=launched_on_cpu or parse_flag_from_env("ACCELERATE_USE_CPU"))


@contextmanager
def process_group() -> Iterator[PartialState]:
    """Be a member of the launched process group within the block, and leave it at the end."""
    state = this_process()
    try:
        yield state
    finally:
        if state.num_processes > 1:
            state.destroy_process_group()


def own_data_shard() -> DataShard:
    """Return the part of every batch that this process reads."""
    state = this_process()
    return DataShard(state.process_index, state.num_processes)


def is_distributed() -> bool:
    """Return whether there is a process group of several processes."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def gather_with_gradient(embeddings: Tensor) -> Tensor:
    """Return the rows of all processes in rank order; each row's gradient flows back to the process it came from.

    Args:
        embeddings: (B, …), with the same B in every process.

    Returns:
        (processes · B, …).
    """
    if not is_distributed():
        return embeddings
    gather: Callable[[Tensor], Tensor] = _GatherRows.apply
    return gather(embeddings)


def gather_ids(ids: Tensor) -> Tensor:
    """Gather ids (B,) of all processes in rank order to (processes · B,)."""
    return _gathered(ids) if is_distributed() else ids


def gather_lists(rows: list[list[int]]) -> list[list[int]]:
    """Gather rows of any lengths of all processes in rank order."""
    if not is_distributed():
        return rows
    parts: list[list[list[int]]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(parts, rows)
    return [row for part in parts for row in part]


def first_label(batch: int) -> int:
    """Return the index of this process's first row among the gathered rows."""
    return distributed.get_rank() * batch if is_distributed() else 0


class _GatherRows(torch.autograd.Function):
    """PyTorch's ``distributed.nn.all_gather`` corrupts gradients that are not contiguous, such as those of einsum."""

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
