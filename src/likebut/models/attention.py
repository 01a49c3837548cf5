"""Multi-head attention, for sequences in whatever layout.

Shapes in this file: B batch, S attending positions, R positions attended to, H width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from likebut.models.sequence_layout import Positions


class Attention(nn.Module):
    """Multi-head attention from sequences of width H to others of width ``source_width``.

    Args:
        width: H.
        heads: How many; they share H evenly.
        source_width: Width of what is attended to.
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
        """Return what :meth:`forward` attends to, for ``source`` (…, source_width): two tensors (…, H).

        Args:
            source: What is attended to.
            norm: If given, ``source`` has passed this norm, but for its scale and shift.
        """
        if norm is None:
            return self.key(source), self.value(source)
        # Scale and shift taken into the weights: image tokens, which no gradient needs, then need none themselves.
        return _after_norm(self.key, source, norm), _after_norm(self.value, source, norm)

    def forward(
        self, states: Tensor, seen: tuple[Tensor, Tensor], positions: Positions, seen_positions: Positions
    ) -> Tensor:
        """Attend from ``states`` to what :meth:`keys_and_values` gave.

        Args:
            states: Of width H, laid out by ``positions``.
            seen: Keys and values, laid out by ``seen_positions``, whose mask says what may be attended to.
            positions: Layout of what attends.
            seen_positions: Layout of what is attended to.

        Returns:
            Of width H, laid out by ``positions``, before residual and norm.
        """
        attend = _attend_on_cpu if states.device.type == "cpu" else functional.scaled_dot_product_attention
        attended = attend(
            self._split(positions.sequences(self.query(states))),
            self._split(seen_positions.sequences(seen[0])),
            self._split(seen_positions.sequences(seen[1])),
            attn_mask=seen_positions.mask,
            dropout_p=self.dropout.p if self.training else 0.0,
        )
        merged: Tensor = self.output(positions.laid_out(attended.transpose(1, 2).flatten(2)))
        return merged

    def _split(self, projected: Tensor) -> Tensor:
        batch, length, width = projected.shape
        return projected.view(batch, length, self.heads, width // self.heads).transpose(1, 2)


def _after_norm(linear: nn.Linear, normalised: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Return ``linear`` of what ``norm`` makes of ``normalised``, which lacks the norm's scale and shift alone."""
    return functional.linear(normalised, linear.weight * norm.weight, linear.weight @ norm.bias + linear.bias)


def _attend_on_cpu(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0
) -> Tensor:
    """Return what torch's scaled-dot-product attention does, by plain matrix products.

    Torch's fused CPU kernel is made for long sequences: for a few dozen positions its backward pass took 0.65 s of a
    1.5 s training step of 64 triplets in bf16, where this takes 0.1 s.

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


_LEVELS = 256  # what a random byte can be
_BYTES_IN_A_WORD = 8


def drop(states: Tensor, probability: float) -> Tensor:
    """Return ``states`` with a share of its values set to 0 and the others scaled up, so that the mean stays.

    Torch draws a number for each value on one thread, which on a processor costs more than the matrix products around
    it: 88 ms for 5.6 million values, where a byte for each takes 24. The probability is rounded to 256ths there.

    Args:
        states: Of any shape.
        probability: Of being set to 0, in [0, 1).
    """
    if states.device.type != "cpu":
        return functional.dropout(states, probability)
    dropped = min(round(probability * _LEVELS), _LEVELS - 1)
    count = states.numel()
    # From the least to the largest integer: by default the highest bit would always be 0.
    words = torch.empty(-(-count // _BYTES_IN_A_WORD), dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.uint8)[:count].view(states.shape) >= dropped
    return states * kept.to(states.dtype).mul_(_LEVELS / (_LEVELS - dropped))


class Dropout(nn.Dropout):
    """A layer of :func:`drop` in training, which does nothing otherwise."""

    def forward(self, states: Tensor) -> Tensor:
        """Return ``states``, in training with a share of its values dropped."""
        return drop(states, self.p) if self.training and self.p > 0 else states


def set_dropout(module: nn.Module, probability: float) -> None:
    """Have every layer of ``module`` drop with ``probability`` in training: states and attention weights alike."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = probability
