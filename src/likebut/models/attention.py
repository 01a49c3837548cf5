"""Multi-head attention over dense or packed sequences, and dropout that is fast on CPUs.

Shapes: B batch, S query positions, R key positions, H width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from likebut.models.sequence_layout import Positions

_LEVELS = 256  # values of a random byte
_BYTES_PER_WORD = 8


class Attention(nn.Module):
    """Multi-head attention from states of width H to a source of width ``source_width``.

    Args:
        width: H.
        heads: Number of heads; H is divided evenly.
        source_width: Width of the source of keys and values.
        dropout: Probability of dropping an attention weight in training.
    """

    def __init__(self, width: int, heads: int, source_width: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = Dropout(dropout)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(source_width, width)
        self.value = nn.Linear(source_width, width)
        self.output = nn.Linear(width, width)

    def keys_and_values(self, source: Tensor, norm: nn.LayerNorm | None = None) -> tuple[Tensor, Tensor]:
        """Return keys and values (…, H) of ``source``.

        Args:
            source: (…, source_width).
            norm: A norm whose scale and shift are still to be applied to ``source``.
        """
        if norm is None:
            return self.key(source), self.value(source)
        # Scale and shift are folded into the weights: image tokens need no gradient, so none is computed for them.
        return _after_norm(self.key, source, norm), _after_norm(self.value, source, norm)

    def forward(
        self, states: Tensor, key_values: tuple[Tensor, Tensor], positions: Positions, key_positions: Positions
    ) -> Tensor:
        """Attend from ``states`` to the result of :meth:`keys_and_values`.

        Args:
            states: Width H, in the layout ``positions``.
            key_values: Keys and values, in the layout ``key_positions``, whose mask applies.
            positions: Layout of the query positions.
            key_positions: Layout of the key positions.

        Returns:
            Width H, in the layout ``positions``, before residual and norm.
        """
        attend = _attend_on_cpu if states.device.type == "cpu" else functional.scaled_dot_product_attention
        attended = attend(
            self._split(positions.sequences(self.query(states))),
            self._split(key_positions.sequences(key_values[0])),
            self._split(key_positions.sequences(key_values[1])),
            attn_mask=key_positions.mask,
            dropout_p=self.dropout.p if self.training else 0.0,
        )
        merged: Tensor = self.output(positions.from_sequences(attended.transpose(1, 2).flatten(2)))
        return merged

    def _split(self, projected: Tensor) -> Tensor:
        batch, length, width = projected.shape
        return projected.view(batch, length, self.heads, width // self.heads).transpose(1, 2)


def _after_norm(linear: nn.Linear, normalised: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Return ``linear`` of ``normalised`` after applying the scale and shift of ``norm``."""
    return functional.linear(normalised, linear.weight * norm.weight, linear.weight @ norm.bias + linear.bias)


def _attend_on_cpu(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0
) -> Tensor:
    """Compute scaled dot-product attention by plain matrix products.

    PyTorch's fused CPU kernel is tuned for long sequences. For a few dozen positions its backward pass takes 0.65 s of
    a 1.5 s training step of 64 triplets in bf16; this takes 0.1 s.

    Args:
        query: (B, heads, S, H / heads).
        key: (B, heads, R, H / heads).
        value: (B, heads, R, H / heads).
        attn_mask: (B, 1, 1, R) bool, or None.
        dropout_p: Probability of dropping an attention weight.
    """
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1).to(value.dtype)
    if dropout_p > 0.0:
        weights = drop(weights, dropout_p)
    return torch.matmul(weights, value)


def drop(states: Tensor, probability: float) -> Tensor:
    """Apply dropout: zero a random fraction of values and scale up the others.

    On a CPU one random byte per value is drawn, and the probability is rounded to 1/256. PyTorch draws a float per
    value on one thread, which costs more than the surrounding matrix products: 88 ms for 5.6 million values, bytes
    take 24 ms.

    Args:
        states: Any shape.
        probability: Probability of zeroing a value, in [0, 1).
    """
    if states.device.type != "cpu":
        return functional.dropout(states, probability)
    dropped = min(round(probability * _LEVELS), _LEVELS - 1)
    count = states.numel()
    # The full int64 range; by default the highest bit would always be 0.
    words = torch.empty(-(-count // _BYTES_PER_WORD), dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.uint8)[:count].view(states.shape) >= dropped
    return states * kept.to(states.dtype).mul_(_LEVELS / (_LEVELS - dropped))


class Dropout(nn.Dropout):
    """Dropout with :func:`drop`; the identity in evaluation mode."""

    def forward(self, states: Tensor) -> Tensor:
        """Return ``states``, with dropout in training mode."""
        return drop(states, self.p) if self.training and self.p > 0 else states


def set_dropout(module: nn.Module, probability: float) -> None:
    """Set the dropout probability of every layer of ``module``, for states and attention weights."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = probability
