"""What the training loop asks of a task: a model with its losses."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Task(Protocol):
    """What the loop trains."""

    @property
    def model(self) -> nn.Module:
        """Its parameters that require a gradient are trained and saved."""

    def training_forward(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Return scalars: the loop adds up every key that ends in ``_loss`` and logs the rest.

        Args:
            model: ``self.model``.
            batch: What the batches yield, on the model's device.
        """


def summed(losses: dict[str, Tensor]) -> Tensor:
    """Return the sum of every value whose key ends in ``_loss``."""
    return torch.stack([value.float() for name, value in losses.items() if name.endswith("_loss")]).sum()
