"""Between base and trained model: weights on the line from one to the other (WiSE-FT; Wortsman et al., CVPR 2022).

A model in between keeps more of what the base knew than it loses of what training brought. How far to go is measured
on the held-out queries: as near to the base as costs little there.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from likebut.models.model_folder import trained_state


def copied_state(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of what training changes."""
    return {name: value.clone() for name, value in trained_state(module).items()}


@torch.no_grad()
def interpolate(module: nn.Module, base: Mapping[str, Tensor], trained: Mapping[str, Tensor], weight: float) -> None:
    """Give ``module`` the weights ``base + weight · (trained - base)``."""
    for name, value in trained_state(module).items():
        value.copy_(torch.lerp(base[name], trained[name], weight))


def choose_weight(values: Mapping[float, float], given_up: float) -> float:
    """Return the least weight whose metric is within ``given_up`` of the best.

    Args:
        values: Weight → metric.
        given_up: In the metric's unit.
    """
    best = max(values.values())
    return min(weight for weight, value in values.items() if value >= best - given_up)


def distinct_weights(weights: Sequence[float]) -> list[float]:
    """Return the weights to try, ascending, the trained model among them."""
    return sorted({*weights, 1.0})
