"""Small models, batches and data for the training tests, importable from child processes."""

import hashlib
import itertools
import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from likebut.data.folder import DataFolder, read_captions
from likebut.data.images import Preprocessing
from likebut.data.triplets import ImageRef
from likebut.features.cache import FeatureCache
from likebut.files import write_jsonl
from likebut.recipes.schema import TrainingSettings
from likebut.training.data import TrainingData
from likebut.training.loop import train

TOKENS, WIDTH = 4, 6


class ToyVision(nn.Module):
    """A frozen vision encoder with 4 tokens that counts its batches."""

    name, tokens, width = "toy", TOKENS, WIDTH

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(size=8)
        self.convolution = nn.Conv2d(3, WIDTH, 4, stride=4)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.convolution.weight.copy_(torch.randn(self.convolution.weight.shape, generator=generator))
            self.convolution.bias.zero_()
        self.seconds, self.batches = seconds, 0

    def forward(self, pixels: Tensor) -> Tensor:
        time.sleep(self.seconds)
        self.batches += 1
        return self.convolution(pixels).flatten(2).transpose(1, 2)


def open_cache(folder: Path, vision: ToyVision | None = None) -> FeatureCache:
    vision = vision or ToyVision()
    return FeatureCache.open(folder, vision.name, vision.preprocessing.fingerprint(), TOKENS, WIDTH)


def draw_images(folder: Path, count: int) -> list[ImageRef]:
    """Write ``count`` different images."""
    folder.mkdir(parents=True, exist_ok=True)
    refs = []
    for number in range(count):
        path = folder / f"{number:03d}.png"
        pixels = np.random.default_rng(number).integers(0, 255, (12, 10 + number % 3, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        refs.append(ImageRef(path.name, path))
    return refs


@dataclass(frozen=True)
class ToyBatch:
    inputs: Tensor
    targets: Tensor


class ToyBatches:
    """Eight numbers with their sum as target; each batch is a function of its step."""

    stage_steps, steps_per_epoch = 0, 5

    def __init__(self, process: int = 0, processes: int = 1) -> None:
        self.process, self.processes = process, processes

    def batch(self, step: int) -> ToyBatch:
        generator = torch.Generator().manual_seed(step)
        inputs = torch.randn(4, 8, generator=generator)
        own = inputs.chunk(self.processes)[self.process]
        return ToyBatch(own, own.sum(dim=1, keepdim=True))


class ToyTask:
    """A small network with dropout, a frozen layer and an unused parameter."""

    def __init__(self, dropout: float = 0.2, seconds: float = 0.0) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = nn.Sequential(nn.Linear(8, 16), nn.Dropout(dropout), nn.LayerNorm(16), nn.Linear(16, 1))
        self.model[0].requires_grad_(False)
        self.model.register_parameter("unused", nn.Parameter(torch.ones(2, 2)))
        self.seconds = seconds

    def training_forward(self, model: nn.Module, batch: ToyBatch) -> dict[str, Tensor]:
        time.sleep(self.seconds)
        error = model(batch.inputs) - batch.targets
        return {"squared_loss": error.square().mean(), "small_loss": 0.1 * error.mean(), "spread": error.detach().std()}

    def after_step(self) -> None:
        pass


def settings(**changes: Any) -> TrainingSettings:
    values = {"batch_size": 4, "steps": 40, "learning_rate": 1e-2, "precision": "fp32", "log_every": 3}
    return TrainingSettings(**(values | {"checkpoint_every": 7} | changes))


def train_toy(folder: Path, seconds: float = 0.0, dropout: float = 0.2, **changes: Any) -> ToyTask:
    task = ToyTask(dropout, seconds)
    train(task, ToyBatches(), settings(**changes), folder, seed=3)
    return task


def weights_hash(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(model.named_parameters()):
        digest.update(name.encode() + value.detach().numpy().tobytes())
    return digest.hexdigest()


def tree_hash(folder: Path, pattern: str) -> dict[str, str]:
    """Return the hash of every file below ``folder`` that matches, by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(pattern))
        if path.is_file()
    }


COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "yellow": (220, 220, 30)}


def make_data_folder(folder: Path, families: int = 4, reverse: bool = True) -> Path:
    """Write a data folder: a family is one pattern in four colours, a triplet a change of colour."""
    (folder / "images").mkdir(parents=True)
    triplets, captions = [], []
    for family in range(families):
        split = "train" if family < families - 1 else "val"
        noise = np.random.default_rng(family).integers(0, 60, (40, 40, 3))
        for colour, value in COLOURS.items():
            pixels = noise + np.array(value) // 2
            pixels[5 + family : 15 + family, 5:20] = value
            name = f"{family}-{colour}.png"
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "images" / name)
            captions.append({"split": split, "image": name, "captions": [f"a {colour} square", f"something {colour}"]})
        for before, after in itertools.permutations(COLOURS, 2):
            row = {"split": split, "reference": f"{family}-{before}.png", "target": f"{family}-{after}.png"}
            row["modification"] = f"make it {after}"
            triplets.append(row | ({"reverse_modification": f"make it {before}"} if reverse else {}))
    write_jsonl(folder / "triplets.jsonl", triplets)
    write_jsonl(folder / "captions.jsonl", captions)
    return folder


def folder_data(folder: Path) -> TrainingData:
    data = DataFolder.open(folder)
    return TrainingData(data.triplets("train"), data.images(), captions=read_captions(folder, "train"))


def run_in_child(work: Callable[..., None], arguments: Sequence[Any], kill_after: float | None = None) -> bool:
    """Run ``work`` in a child process; with ``kill_after``, kill it (SIGKILL) that many seconds after it started.

    Returns whether it ended by itself.
    """
    # The fork server imports slow modules once, so that a child starts in milliseconds.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["likebut.training.train_generator", "torch.utils.tensorboard"])
    begun = context.Event()
    child = context.Process(target=_announce_and_run, args=(begun, work, arguments))
    child.start()
    assert begun.wait(200)
    child.join(kill_after or 200)
    if child.exitcode is None:
        child.kill()
        child.join()
        assert kill_after is not None, "the child did not end"
        return False
    assert child.exitcode == 0
    return True


def _announce_and_run(begun: Any, work: Callable[..., None], arguments: Sequence[Any]) -> None:
    torch.set_num_threads(1)
    with open(os.devnull, "w") as silence:
        os.dup2(silence.fileno(), 2)
        begun.set()
        work(*arguments)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def join_two_processes(process: int, port: int) -> None:
    """Set the environment of one of two processes, as `accelerate launch` does."""
    os.environ |= {
        "RANK": str(process),
        "LOCAL_RANK": str(process),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true",
    }
