"""Dense and packed layouts of a batch of sequences in the query encoder.

Texts of a batch differ in length. A dense layout pads them, often to twice the number of tokens; a packed layout stores
real positions only and pads for attention alone.

Shapes: B batch, S positions, N query positions, M real positions of all sequences, H width.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Positions(Protocol):
    """A layout of a batch of sequences; each starts with its query positions, followed by text positions."""

    @property
    def queries(self) -> int:
        """N, the number of leading query positions; 0 if all positions are text."""

    @property
    def mask(self) -> Tensor | None:
        """(B, 1, 1, S) bool, True where a position may be attended to; None allows all."""

    def sequences(self, states: Tensor) -> Tensor:
        """Return states of this layout as (B, S, H)."""

    def from_sequences(self, sequences: Tensor) -> Tensor:
        """Return (B, S, H) in this layout."""

    def query_part(self, states: Tensor) -> Tensor:
        """Return the query positions as (B, N, H)."""

    def text_part(self, states: Tensor) -> Tensor:
        """Return the text positions in this layout."""

    def joined(self, query_part: Tensor, text_part: Tensor) -> Tensor:
        """Return both parts as one tensor in this layout."""


class Dense:
    """All positions including padding; states are (B, S, H)."""

    def __init__(self, queries: int = 0, mask: Tensor | None = None) -> None:
        self.queries = queries
        self.mask = mask

    def sequences(self, states: Tensor) -> Tensor:
        """Return ``states`` unchanged."""
        return states

    def from_sequences(self, sequences: Tensor) -> Tensor:
        """Return ``sequences`` unchanged."""
        return sequences

    def query_part(self, states: Tensor) -> Tensor:
        """Return (B, N, H)."""
        return states[:, : self.queries]

    def text_part(self, states: Tensor) -> Tensor:
        """Return (B, S-N, H)."""
        return states[:, self.queries :]

    def joined(self, query_part: Tensor, text_part: Tensor) -> Tensor:
        """Return (B, S, H)."""
        return torch.cat([query_part, text_part], dim=1)


class Packed:
    """Real positions only; states are (M, H), the query positions of all sequences before all text positions.

    Args:
        queries: N; every query position is real.
        real: (B, S) bool, False at padding.
    """

    def __init__(self, queries: int, real: Tensor) -> None:
        self.queries = queries
        self.mask: Tensor | None = real[:, None, None, :]
        self._batch, self._length = real.shape
        indices = torch.arange(real.numel(), device=real.device).view_as(real)
        self._indices = torch.cat([indices[:, :queries].flatten(), indices[:, queries:][real[:, queries:]]])

    def sequences(self, states: Tensor) -> Tensor:
        """Return (B, S, H), zero at padding."""
        empty = states.new_zeros(self._batch * self._length, states.shape[-1])
        return empty.index_copy(0, self._indices, states).view(self._batch, self._length, states.shape[-1])

    def from_sequences(self, sequences: Tensor) -> Tensor:
        """Return (M, H)."""
        return sequences.flatten(0, 1).index_select(0, self._indices)

    def query_part(self, states: Tensor) -> Tensor:
        """Return (B, N, H)."""
        return states[: self._batch * self.queries].view(self._batch, self.queries, states.shape[-1])

    def text_part(self, states: Tensor) -> Tensor:
        """Return (M - B·N, H)."""
        return states[self._batch * self.queries :]

    def joined(self, query_part: Tensor, text_part: Tensor) -> Tensor:
        """Return (M, H)."""
        return torch.cat([query_part.flatten(0, 1), text_part])


def best_layout(queries: int, text_mask: Tensor | None, extra: int) -> Positions:
    """Return the layout that computes the least padding.

    Args:
        queries: N.
        text_mask: (B, L), 1 where a token is real; None without text.
        extra: Number of positions before the text, all real.
    """
    dense = dense_layout(queries, text_mask, extra)
    # On a GPU, counting the mask would synchronise, and computing padding is faster than moving rows.
    if text_mask is None or text_mask.device.type != "cpu" or bool(text_mask.all()):
        return dense
    return Packed(queries, functional.pad(text_mask.bool(), (extra, 0), value=True))


def dense_layout(queries: int, text_mask: Tensor | None, extra: int) -> Dense:
    """Return the dense layout; arguments as in :func:`best_layout`."""
    if text_mask is None:
        return Dense(queries)
    return Dense(queries, functional.pad(text_mask.bool(), (extra, 0), value=True)[:, None, None, :])
