"""In-batch negatives from every process, with gradient."""

import torch
from torch import Tensor, distributed
from torch.distributed.nn import functional as distributed_functional


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
    gathered: tuple[Tensor, ...] = distributed_functional.all_gather(embeddings)  # type: ignore[no-untyped-call]
    return torch.cat(gathered, dim=0)


def gather_ids(ids: Tensor) -> Tensor:
    """Return (processes × B,) ids for (B,) ids, in rank order."""
    if not is_distributed():
        return ids
    gathered = [torch.empty_like(ids) for _ in range(distributed.get_world_size())]
    distributed.all_gather(gathered, ids.contiguous())
    return torch.cat(gathered)


def first_label(batch: int) -> int:
    """Return where this process's rows begin among the gathered ones."""
    return distributed.get_rank() * batch if is_distributed() else 0
