"""A retriever's training step: with cached image tokens, and with the vision encoder run in every step.

    python benchmarks/training_step.py --preset paper --batch-size 128 --device cuda

The published code runs the frozen vision encoder in every step; likebut reads its tokens from a cache. Weights and
inputs are random, at the preset's sizes: nothing is downloaded, and speed does not depend on values. The two must give
the same losses, up to the cache's float16, and the script fails if they do not. It prints steps per second, peak
memory, and model-FLOP utilisation: the arithmetic of one step's matrix products, as torch counts it, over the step's
time and the rate that the same device reaches on a single large matrix product.

The preset `paper` needs a GPU for figures that mean anything. On a CPU the script runs with `--preset tiny` to show
that it works.
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
class Figures:
    """What one way of stepping costs."""

    way: str
    first_loss: float
    steps_per_second: float
    triplets_per_second: float
    peak_memory_gb: float
    step_teraflops: float
    utilisation: float


@dataclass
class Inputs:
    """One batch, as pixels and as the tokens that a cache would hold."""

    pixels: Tensor
    cached: Tensor
    texts: TextBatch
    reverse_texts: TextBatch


class Stepper:
    """A retriever with random weights, and one optimiser step of it."""

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
        """Return (2B, T, W) tokens of (2B, 3, S, S) pixels."""
        tokens: Tensor = self.vision(pixels.to(next(self.vision.parameters()).dtype))
        return tokens

    def step(self, tokens: Tensor, inputs: Inputs) -> Tensor:
        """Learn once from the tokens of B references and B targets; return the loss."""
        reference, target = tokens.float().chunk(2)
        batch = TripletBatch(reference, target, inputs.texts, inputs.reverse_texts)
        with autocast(self.precision, self.device):
            loss = summed(self.task.training_forward(self.stepped, batch))
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return loss.detach()


def random_vision(preset: Preset) -> nn.Module:
    """Return the preset's vision encoder with random weights; BLIP-2's at the sizes that transformers knows it by."""
    if preset.vision.kind == "blip2":
        return Blip2Vision({}).requires_grad_(False).eval()
    return new_vision_network(preset.vision).requires_grad_(False).eval()


def random_inputs(preset: Preset, stepper: Stepper, batch_size: int) -> Inputs:
    """Return a batch of pixels, and its tokens in float16 where a cache would keep them."""
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


def ways(stepper: Stepper, inputs: Inputs) -> dict[str, Callable[[], Tensor]]:
    """Return the ways of stepping, by name; each returns the step's loss."""
    resident = inputs.cached.to(stepper.device)
    return {
        "cached tokens, on the device": lambda: stepper.step(resident, inputs),
        "cached tokens, from the host": lambda: stepper.step(
            inputs.cached.to(stepper.device, non_blocking=True), inputs
        ),
        "vision encoder in every step": lambda: stepper.step(stepper.encode(inputs.pixels), inputs),
    }


def measure(way: str, step: Callable[[], Tensor], device: torch.device, steps: int, batch: int, rate: float) -> Figures:
    """Run ``step`` and return what it costs, against ``rate`` in FLOP/s."""
    with FlopCounterMode(display=False) as counter:
        loss = step().item()
    for _ in range(WARM_UP):
        step()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = timed(lambda: [step() for _ in range(steps)], device) / steps
    operations = counter.get_total_flops()
    return Figures(
        way=way,
        first_loss=loss,
        steps_per_second=1 / seconds,
        triplets_per_second=batch / seconds,
        peak_memory_gb=peak_memory(device) / 1e9,
        step_teraflops=operations / 1e12,
        utilisation=operations / seconds / rate,
    )


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that ``work`` takes, the device's queue included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the FLOP/s of one large matrix product, the best of several."""
    side = 8192 if device.type == "cuda" else 512
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = min(timed(lambda: one @ other, device) for _ in range(10))
    return 2 * side**3 / best


def peak_memory(device: torch.device) -> int:
    """Return the most bytes held: of the GPU since the last reset, or of the process since its beginning."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def check_losses(figures: list[Figures]) -> None:
    """Fail unless every way gave the same first loss."""
    expected = figures[0].first_loss
    for row in figures:
        if abs(row.first_loss - expected) > LOSS_TOLERANCE * abs(expected):
            raise SystemExit(f"{row.way} gave the loss {row.first_loss}, not {expected}: the ways differ.")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="paper", help="whose sizes")
    parser.add_argument("--batch-size", type=int, default=128, help="triplets")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each way")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true", help="compile the retriever with torch.compile")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measure every way and print a table."""
    options = parse(arguments)
    device = torch.device(options.device)
    preset = load_preset(options.preset)
    figures = []
    for way in ("cached tokens, on the device", "cached tokens, from the host", "vision encoder in every step"):
        # From the same weights each time, so that the first losses can be compared.
        stepper = Stepper(preset, device, options.compile)
        dtype = torch.bfloat16 if stepper.precision == "bf16" else torch.float32
        inputs = random_inputs(preset, stepper, options.batch_size)
        rate = matrix_rate(device, dtype)
        figures.append(measure(way, ways(stepper, inputs)[way], device, options.steps, options.batch_size, rate))
    check_losses(figures)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
    print(f"{preset.name}, batch {options.batch_size}, {stepper.precision}, {name}: {rate / 1e12:.1f} TFLOP/s at most")
    for row in figures:
        print(
            f"{row.way:<30} {row.steps_per_second:8.2f} steps/s {row.triplets_per_second:9.0f} triplets/s "
            f"{row.peak_memory_gb:7.2f} GB {row.step_teraflops:8.3f} TFLOP/step {row.utilisation:6.1%} of the rate, "
            f"loss {row.first_loss:.4f}"
        )
    if options.out is not None:
        said = {"preset": preset.name, "device": name, "matrix_rate": rate, "torch": torch.__version__}
        write_json(options.out, {**said, "batch_size": options.batch_size, "ways": [asdict(row) for row in figures]})


if __name__ == "__main__":
    main()
