"""Small stand-ins for what the training tests train."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from likebut.images import Preprocessing
from likebut.triplets import ImageRef

WIDTH = 6


class ToyVision(nn.Module):
    """A frozen vision encoder with 4 tokens, which counts the images it has seen."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.preprocessing = Preprocessing(size=8)
        self.convolution = nn.Conv2d(3, WIDTH, 4, stride=4)
        self.seen = 0

    def forward(self, pixels: Tensor) -> Tensor:
        self.seen += len(pixels)
        return self.convolution(pixels).flatten(2).transpose(1, 2)


def draw_images(folder: Path, count: int) -> list[ImageRef]:
    """Write ``count`` different images."""
    folder.mkdir(parents=True, exist_ok=True)
    refs = []
    for number in range(count):
        path = folder / f"{number:03d}.png"
        Image.new("RGB", (12, 10 + number % 3), (number * 7 % 256, number * 31 % 256, 90)).save(path)
        refs.append(ImageRef(path.name, path))
    return refs


@dataclass(frozen=True)
class ToyBatch:
    inputs: Tensor
    targets: Tensor


class ToyBatches:
    """Eight-dimensional inputs with a linear target; each batch a function of its number."""

    steps_per_epoch = 5

    def batch(self, step: int) -> ToyBatch:
        generator = torch.Generator().manual_seed(step)
        inputs = torch.randn(4, 8, generator=generator)
        return ToyBatch(inputs, inputs.sum(dim=1, keepdim=True))


class ToyTask:
    """A small network with dropout and a frozen layer."""

    def __init__(self, seed: int = 0, dropout: float = 0.2) -> None:
        torch.manual_seed(seed)
        self.model = nn.Sequential(nn.Linear(8, 16), nn.Dropout(dropout), nn.LayerNorm(16), nn.Linear(16, 1))
        self.model[0].requires_grad_(False)

    def training_forward(self, model: nn.Module, batch: ToyBatch) -> dict[str, Tensor]:
        error = model(batch.inputs) - batch.targets
        return {"squared_loss": error.square().mean(), "bias_loss": 0.1 * error.mean().abs(), "spread": error.std()}


def names_of(images: Sequence[ImageRef]) -> list[str]:
    return [image.name for image in images]
