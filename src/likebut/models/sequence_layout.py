"""Where the positions of a batch of sequences lie in the tensor that the query encoder's layers work on.

Texts of one batch differ in length. Laid out densely, the shorter ones are filled up with padding, which often is half
of all positions; packed, only real positions are there, and padding comes in for attention alone.

Shapes in this file: B batch, S positions, N query positions, M real positions of all sequences, H width.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Positions(Protocol):
    """A layout of a batch's sequences; each begins with its query positions, the rest is text."""

    @property
    def queries(self) -> int:
        """N, how many leading positions are query positions; 0 if all count as text."""

    @property
    def mask(self) -> Tensor | None:
        """(B, 1, 1, S) bool, True where a position may be attended to; everywhere if None."""

    def sequences(self, states: Tensor) -> Tensor:
        """Return states in this layout as (B, S, H)."""

    def laid_out(self, sequences: Tensor) -> Tensor:
        """Return (B, S, H) in this layout."""

    def query_part(self, states: Tensor) -> Tensor:
        """Return the query positions of states in this layout: (B, N, H)."""

    def text_part(self, states: Tensor) -> Tensor:
        """Return the other positions of states in this layout."""

    def joined(self, query_part: Tensor, text_part: Tensor) -> Tensor:
        """Return the two parts as one tensor in this layout."""


class Dense:
    """Every position of every sequence, padding included: states are (B, S, H)."""

    def __init__(self, queries: int = 0, mask: Tensor | None = None) -> None:
        self.queries = queries
        self.mask = mask

    def sequences(self, states: Tensor) -> Tensor:
        """Return ``states`` as they are."""
        return states

    def laid_out(self, sequences: Tensor) -> Tensor:
        """Return ``sequences`` as they are."""
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
    """Real positions alone: states are (M, H), the query positions of all sequences before all of their texts.

    Args:
        queries: N; every query position is real.
        real: (B, S) bool, False where a position is padding.
    """

    def __init__(self, queries: int, real: Tensor) -> None:
        self.queries = queries
        self.mask: Tensor | None = real[:, None, None, :]
        self._batch, self._length = real.shape
        places = torch.arange(real.numel(), device=real.device).view_as(real)
        self._places = torch.cat([places[:, :queries].flatten(), places[:, queries:][real[:, queries:]]])

    def sequences(self, states: Tensor) -> Tensor:
        """Return (B, S, H), zero at padding."""
        empty = states.new_zeros(self._batch * self._length, states.shape[-1])
        return empty.index_copy(0, self._places, states).view(self._batch, self._length, states.shape[-1])

    def laid_out(self, sequences: Tensor) -> Tensor:
        """Return (M, H)."""
        return sequences.flatten(0, 1).index_select(0, self._places)

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
    """Return a layout in which padding costs the least.

    Args:
        queries: N.
        text_mask: (B, L), 1 where a token is real; None where there is no text.
        extra: How many positions precede the text, always real.
    """
    dense = dense_layout(queries, text_mask, extra)
    # A GPU would have to wait until the mask is counted, and multiplies padding faster than it moves rows.
    if text_mask is None or text_mask.device.type != "cpu" or bool(text_mask.all()):
        return dense
    return Packed(queries, functional.pad(text_mask.bool(), (extra, 0), value=True))


def dense_layout(queries: int, text_mask: Tensor | None, extra: int) -> Dense:
    """Return the layout that has every position; arguments as in :func:`best_layout`."""
    if text_mask is None:
        return Dense(queries)
    return Dense(queries, functional.pad(text_mask.bool(), (extra, 0), value=True)[:, None, None, :])
