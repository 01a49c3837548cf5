"""The SHA-256 of a model's trained weights, kept up to date when they change in place."""

import torch
from torch import Tensor, nn

from likebut.models.model_folder import digest_of_unsaved, trained_state


class WeightsHash:
    """Identifies the current weights of a module, for galleries and shards that must not mix two models.

    Weights that are stored in a file are identified by the file's SHA-256, others by a SHA-256 of their values. Hashing
    all weights takes seconds for a large model, so the hash is cached with a checksum of the weights and recomputed
    when the checksum differs. The checksum is a sum over the bits of every parameter, limited by memory bandwidth.
    Version counters would be cheaper, but fused optimizers and writes through ``.data`` do not advance them.

    Args:
        module: The model.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._known: tuple[list[int], str] | None = None

    def record(self, sha256: str) -> None:
        """Take ``sha256``, that of a file the current weights were read from or written to, as their hash."""
        self._known = (self._checksum(), sha256)

    def current(self) -> str:
        """Return the hash of the current weights; empty if nothing is trained."""
        checksum = self._checksum()
        if self._known is None or self._known[0] != checksum:
            self._known = (checksum, digest_of_unsaved(self._module))
        return self._known[1]

    def _checksum(self) -> list[int]:
        sums = [_sum_of_bits(value) for value in trained_state(self._module).values()]
        return torch.stack([value.cpu() for value in sums]).tolist() if sums else []


def _sum_of_bits(value: Tensor) -> Tensor:
    # As 64-bit integers, whose sum is 60 times as fast as that of 32-bit integers into 64 bits.
    aligned = value.storage_offset() * value.element_size() % 8 == 0
    octets = (value.contiguous() if aligned else value.clone()).reshape(-1).view(torch.uint8)
    whole = len(octets) // 8 * 8
    return octets[:whole].view(torch.int64).sum() + octets[whole:].sum(dtype=torch.int64)
