"""Cost of a retriever's training step with cached image tokens, and with the vision encoder run in every step.

    python benchmarks/training_step.py --preset paper --batch-size 128 --device cuda

The published code runs the frozen vision encoder in every step; likebut reads its tokens from a cache. Weights and
inputs are random with the preset's sizes: nothing is downloaded, and speed does not depend on values. Both must
give the same losses, up to the cache's float16, or the script fails. It prints steps per second, peak memory, and
model-FLOP utilisation: the FLOPs of one step's matrix products, as torch counts them, over the step's time and the rate
that the device reaches on a single large matrix product.

The preset `paper` needs a GPU for meaningful results. On a CPU `--preset tiny` shows that the script works.
"""

import argparse
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from likebut.files import write_json
from likebut.models.blip2 import Blip2Vision
from likebut.models.devices import autocast, resolve_precision
from likebut.models.loading import new_vision_network
from likebut.models.preset import Preset, load_preset
from likebut.models.query_encoder import QueryEncoder
from likebut.models.tokenizers import TextBatch
from likebut.recipes.schema import LossSettings
from likebut.retriever.base import RetrieverCore, TripletBatch
from likebut.retriever.ptha import PTHA
from likebut.training.tasks import RetrievalTask, summed

TEXT_LENGTH = 32
WARM_UP = 3
LOSS_TOLERANCE = 0.02  # bf16 has 8 bits: two ways to the same loss differ by about 1 in 256


@dataclass
class StepCost:
    """The cost of one variant of the step."""

    variant: str
    first_loss: float
    steps_per_second: float
    triplets_per_second: float
    peak_memory_gb: float
    step_teraflops: float
    utilisation: float


@dataclass
class Inputs:
    """One batch, as pixels and as cached tokens."""

    pixels: Tensor
    cached: Tensor
    texts: TextBatch
    reverse_texts: TextBatch


class Stepper:
    """A retriever with random weights, and its optimiser step."""

    def __init__(self, preset: Preset, device: torch.device, compiled: bool) -> None:
        torch.manual_seed(0)
        self.device = device
        self.precision = resolve_precision("auto", device)
        self.vision = random_vision(preset).to(device, torch.bfloat16 if device.type == "cuda" else torch.float32)
        self.model = PTHA(RetrieverCore(QueryEncoder(preset.query_encoder.config()), preset.embedding_size)).to(device)
        nn.init.normal_(self.model.core.query_encoder.query_tokens, std=0.02)
        self.task = RetrievalTask(self.model, LossSettings())
        self.stepped: Any = torch.compile(self.model) if compiled else self.model
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-6, fused=device.type == "cuda")

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """Return the tokens (2B, T, W) of pixels (2B, 3, S, S)."""
        tokens: Tensor = self.vision(pixels.to(next(self.vision.parameters()).dtype))
        return tokens

    def step(self, tokens: Tensor, inputs: Inputs) -> Tensor:
        """Run one step on the tokens of B references and B targets; return the loss."""
        reference, target = tokens.float().chunk(2)
        batch = TripletBatch(reference, target, inputs.texts, inputs.reverse_texts)
        with autocast(self.precision, self.device):
            loss = summed(self.task.training_forward(self.stepped, batch))
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return loss.detach()


def random_vision(preset: Preset) -> nn.Module:
    """Return the preset's vision encoder with random weights; BLIP-2's with its default sizes."""
    if preset.vision.kind == "blip2":
        return Blip2Vision({}).requires_grad_(False).eval()
    return new_vision_network(preset.vision).requires_grad_(False).eval()


def random_inputs(preset: Preset, stepper: Stepper, batch_size: int) -> Inputs:
    """Return a batch of pixels with its float16 tokens, in pinned memory if there is a GPU."""
    generator = torch.Generator().manual_seed(1)
    side = preset.vision.image_size
    pixels = torch.randn(2 * batch_size, 3, side, side, generator=generator).to(stepper.device)
    words = [
        torch.randint(3, preset.query_encoder.vocabulary_size, (batch_size, TEXT_LENGTH), generator=generator)
        for _ in range(2)
    ]
    texts, reverse = (TextBatch(ids, torch.ones_like(ids)).to(stepper.device) for ids in words)
    cached = torch.cat([stepper.encode(part) for part in torch.split(pixels, 16)]).half().cpu()
    return Inputs(pixels, cached.pin_memory() if stepper.device.type == "cuda" else cached, texts, reverse)


def variants(stepper: Stepper, inputs: Inputs) -> dict[str, Callable[[], Tensor]]:
    """Return the variants of the step by name; each returns the loss."""
    resident = inputs.cached.to(stepper.device)
    return {
        "cached tokens, on the device": lambda: stepper.step(resident, inputs),
        "cached tokens, from the host": lambda: stepper.step(
            inputs.cached.to(stepper.device, non_blocking=True), inputs
        ),
        "vision encoder in every step": lambda: stepper.step(stepper.encode(inputs.pixels), inputs),
    }


def measure(
    variant: str, step: Callable[[], Tensor], device: torch.device, steps: int, batch: int, rate: float
) -> StepCost:
    """Return the cost of ``step``; utilisation is relative to ``rate`` in FLOP/s."""
    with FlopCounterMode(display=False) as counter:
        loss = step().item()
    for _ in range(WARM_UP):
        step()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = timed(lambda: [step() for _ in range(steps)], device) / steps
    operations = counter.get_total_flops()
    return StepCost(
        variant=variant,
        first_loss=loss,
        steps_per_second=1 / seconds,
        triplets_per_second=batch / seconds,
        peak_memory_gb=peak_memory(device) / 1e9,
        step_teraflops=operations / 1e12,
        utilisation=operations / seconds / rate,
    )


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Return the duration of ``work`` in seconds, including the device's queue."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the FLOP/s of a large matrix product, the best of several runs."""
    side = 8192 if device.type == "cuda" else 512
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = min(timed(lambda: one @ other, device) for _ in range(10))
    return 2 * side**3 / best


def peak_memory(device: torch.device) -> int:
    """Return the peak memory in bytes: of the GPU since the last reset, or of the process since its start."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def check_losses(costs: list[StepCost]) -> None:
    """Exit unless every variant has the same first loss."""
    expected = costs[0].first_loss
    for row in costs:
        if abs(row.first_loss - expected) > LOSS_TOLERANCE * abs(expected):
            raise SystemExit(f"{row.variant} has the loss {row.first_loss}, not {expected}.")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="paper", help="preset of the sizes")
    parser.add_argument("--batch-size", type=int, default=128, help="triplets")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each variant")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true", help="compile the retriever with torch.compile")
    parser.add_argument("--out", type=Path, help="a JSON file for the results")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measure every variant and print a table."""
    options = parse(arguments)
    device = torch.device(options.device)
    preset = load_preset(options.preset)
    costs = []
    for variant in ("cached tokens, on the device", "cached tokens, from the host", "vision encoder in every step"):
        # With the same weights, so that the first losses are comparable.
        stepper = Stepper(preset, device, options.compile)
        dtype = torch.bfloat16 if stepper.precision == "bf16" else torch.float32
        inputs = random_inputs(preset, stepper, options.batch_size)
        rate = matrix_rate(device, dtype)
        costs.append(
            measure(variant, variants(stepper, inputs)[variant], device, options.steps, options.batch_size, rate)
        )
    check_losses(costs)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
    print(f"{preset.name}, batch {options.batch_size}, {stepper.precision}, {name}: {rate / 1e12:.1f} TFLOP/s at most")
    for row in costs:
        print(
            f"{row.variant:<30} {row.steps_per_second:8.2f} steps/s {row.triplets_per_second:9.0f} triplets/s "
            f"{row.peak_memory_gb:7.2f} GB {row.step_teraflops:8.3f} TFLOP/step {row.utilisation:6.1%} of the rate, "
            f"loss {row.first_loss:.4f}"
        )
    if options.out is not None:
        setup = {"preset": preset.name, "device": name, "matrix_rate": rate, "torch": torch.__version__}
        write_json(options.out, {**setup, "batch_size": options.batch_size, "variants": [asdict(row) for row in costs]})


if __name__ == "__main__":
    main()
