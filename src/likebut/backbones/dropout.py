"""Dropout of another probability than the one a module was built with."""

from torch import nn

from likebut.backbones.attention import Attention


def set_dropout(module: nn.Module, probability: float) -> None:
    """Have every layer of ``module`` drop with ``probability`` in training: states and attention weights alike."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = probability
        elif isinstance(part, Attention):
            part.dropout = probability
