"""How many steps the time allows on this machine, from a measurement of seconds."""

import time
from collections.abc import Callable
from statistics import median
from typing import Literal, cast

import torch

from likebut.adapt.settings import AdaptSettings, Plan
from likebut.recipes.schema import LossSettings
from likebut.retriever.base import ComposedRetriever, TripletBatch
from likebut.retriever.retriever import Retriever
from likebut.training.tasks import RetrievalTask

# Of a quarter of an hour: what was best on grocery photographs; more time is more of both.
_CAPTION_SHARE = 0.2
_TRAINING_SHARE, _LEAST_TRAINING_SHARE = 0.7, 0.2
_NAMING_STEPS = 0.4
_MOST_STEPS, _LEAST_STEPS = 2000, 20
_LEAST_CAPTION_STEPS = 5
# Decoding, encoding and measuring an image, in seconds on two slow cores.
_SECONDS_PER_IMAGE = 0.05
_ENCODING_SHARE = 0.25
_LEAST_IMAGES, _MOST_IMAGES = 500, 50_000
_TRIAL_BATCH = 16
Precision = Literal["fp32", "bf16"]


def plan(settings: AdaptSettings, retriever: Retriever, images: int, with_naming: bool = False) -> Plan:
    """Return what ``settings.minutes`` allow; what the settings say outright is taken as it is.

    Args:
        settings: Of the run.
        retriever: The base, of which a training step is timed.
        images: How many there are.
        with_naming: Whether images without text are to be named, which takes a training of its own.
    """
    precision, seconds = _faster_precision(settings, retriever)
    available = 60 * settings.minutes
    affordable = round(_ENCODING_SHARE * available / (_SECONDS_PER_IMAGE * settings.views))
    most_images = settings.most_images or min(max(affordable, _LEAST_IMAGES), _MOST_IMAGES)
    encoding = min(images, most_images) * settings.views * _SECONDS_PER_IMAGE
    training = max(_TRAINING_SHARE * available - encoding, _LEAST_TRAINING_SHARE * available)
    trainings = 1.0 + (settings.rounds * _NAMING_STEPS if with_naming else 0.0)
    # A caption's step has one image and no hop, which is about a third of a triplet's.
    total = round(training / (seconds * trainings * (1.0 - 0.65 * _CAPTION_SHARE)))
    total = min(max(total, _LEAST_STEPS), _MOST_STEPS)
    captions = max(round(_CAPTION_SHARE * total), _LEAST_CAPTION_STEPS)
    return Plan(
        most_images=most_images,
        caption_steps=captions if settings.caption_steps is None else settings.caption_steps,
        steps=total - captions if settings.steps is None else settings.steps,
        precision=precision,
        seconds_per_step=round(seconds, 3),
    )


def _faster_precision(settings: AdaptSettings, retriever: Retriever) -> tuple[Precision, float]:
    """Return the precision in which a training step is faster here, and the seconds of a step."""
    step = _trial_step(settings, retriever)
    device = retriever.device.type
    seconds = {precision: _timed(step, device, precision) for precision in ("fp32", "bf16")}
    best: Precision = "bf16" if seconds["bf16"] < seconds["fp32"] else "fp32"
    scale = settings.batch_size / min(settings.batch_size, _TRIAL_BATCH)
    return best, seconds[best] * scale


def _trial_step(settings: AdaptSettings, retriever: Retriever) -> Callable[[], None]:
    count = min(settings.batch_size, _TRIAL_BATCH)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(count, retriever.vision.tokens, retriever.vision.width, generator=generator)
    tokens = tokens.to(retriever.device)
    text = retriever.tokenizer(["the same thing, only in another colour"] * count).to(retriever.device)
    ids = torch.arange(count, device=retriever.device)
    task = RetrievalTask(cast(ComposedRetriever, retriever.module), LossSettings(alpha=0.0))
    rivals = tokens if settings.mined_hard_negatives else None
    batch = TripletBatch(
        tokens,
        tokens,
        text,
        target_ids=ids,
        hard_negative_tokens=rivals,
        hard_negative_ids=None if rivals is None else ids,
    )

    def step() -> None:
        losses = task.training_forward(retriever.module, batch)
        total = torch.stack([value for name, value in losses.items() if name.endswith("_loss")]).sum()
        torch.autograd.backward(total)
        retriever.module.zero_grad(set_to_none=True)

    return step


def _timed(step: Callable[[], None], device: str, precision: Precision) -> float:
    def once() -> float:
        start = time.perf_counter()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            step()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    once()
    return median(once() for _ in range(3))
