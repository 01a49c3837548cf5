"""AdamW, and a learning rate schedule that ends exactly at the last step."""

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from likebut.recipes.schema import TrainingSettings


def make_optimizer(model: nn.Module, settings: TrainingSettings) -> AdamW:
    """Return AdamW over the parameters of ``model`` that require a gradient.

    Unless ``settings.decay_everything``, vectors and scalars (biases, norms, the temperature) have no weight decay.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trained if parameter.ndim >= 2 or settings.decay_everything]
    others = [parameter for parameter in trained if parameter.ndim < 2 and not settings.decay_everything]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=settings.betas,
        eps=settings.epsilon,
        # A step on a CPU is limited by memory: fused, it is one pass over the parameters instead of ten.
        fused=all(parameter.device.type == "cpu" for parameter in trained) or None,
    )


def make_schedule(optimizer: Optimizer, settings: TrainingSettings, total_steps: int) -> LRScheduler:
    """Return the learning rate schedule; it is stepped after each training step except the last."""
    if settings.schedule == "constant" or total_steps < 2:
        return LambdaLR(optimizer, lambda _: 1.0)
    # OneCycleLR divides by the warm-up's length minus one step, so a warm-up of one step is left out.
    warms_up = settings.warm_up_fraction * total_steps > 1
    return OneCycleLR(
        optimizer,
        max_lr=settings.learning_rate,
        total_steps=total_steps,
        pct_start=settings.warm_up_fraction if warms_up else 0.0,
        div_factor=settings.start_divisor,
        cycle_momentum=settings.cycle_momentum,
    )
