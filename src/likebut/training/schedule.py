"""Optimiser and learning rate: AdamW under a schedule that ends exactly at the last step."""

from collections.abc import Iterable

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from likebut.recipes.schema import TrainingSettings


def make_optimizer(model: nn.Module, settings: TrainingSettings) -> AdamW:
    """Return AdamW over the parameters of ``model`` that are trained.

    Unless ``settings.decay_everything``, vectors and scalars (biases, norms, the temperature) do not decay.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trained if parameter.ndim >= 2 or settings.decay_everything]
    others = [parameter for parameter in trained if parameter.ndim < 2 and not settings.decay_everything]
    groups = [_group(decayed, settings.weight_decay), _group(others, 0.0)]
    return AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=settings.betas,
        eps=settings.epsilon,
        # One pass over memory instead of ten, which is what an optimiser's step on a processor consists of.
        fused=all(parameter.device.type == "cpu" for parameter in trained) or None,
    )


def _group(parameters: Iterable[nn.Parameter], weight_decay: float) -> dict[str, object]:
    return {"params": list(parameters), "weight_decay": weight_decay}


def make_schedule(optimizer: Optimizer, settings: TrainingSettings, total_steps: int) -> LRScheduler:
    """Return the learning-rate schedule; one step of it follows each training step but the last."""
    if settings.schedule == "constant" or total_steps < 2:
        return LambdaLR(optimizer, lambda _: 1.0)
    # OneCycleLR divides by the length of the rise less one step, which must not be 0; so short a rise is none.
    rises = settings.warm_up_fraction * total_steps > 1
    return OneCycleLR(
        optimizer,
        max_lr=settings.learning_rate,
        total_steps=total_steps,
        pct_start=settings.warm_up_fraction if rises else 0.0,
        div_factor=settings.start_divisor,
        cycle_momentum=settings.cycle_momentum,
    )
