"""`kill -9` at random moments, then the same command again: it ends with the files of an uninterrupted run."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.processes import child_environment, helper_command
from helpers.training_toys import draw_images, make_data_folder, tree_hash
from likebut.generator.generator import ModificationGenerator
from likebut.synthesis.mining import MinedPair
from likebut.synthesis.pair_file import write_pairs

ROUNDS = 3


class Children:
    """Runs commands in processes that can be killed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None and process.stdout is not None
        self._requests, self._results = process.stdin, process.stdout
        assert self._results.readline() == "ready\n"

    def run(self, arguments: list[str], home: Path, kill_after: float | None = None) -> int:
        """Run a command and return how it ended; with ``kill_after``, kill it that many seconds after it began."""
        request = {"arguments": arguments, "home": str(home), "kill_after": kill_after}
        print(json.dumps(request), file=self._requests, flush=True)
        return int(self._results.readline())


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    with subprocess.Popen(
        helper_command("killed_command"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(),
    ) as process:
        yield Children(process)


def require_same_after_kills(children: Children, tmp_path: Path, arguments: list[str], compared: str) -> None:
    """Run ``arguments``, OUT being a folder, once uninterrupted and once with kills; compare the matching files."""

    def into(name: str) -> tuple[list[str], Path]:
        return [argument.replace("OUT", str(tmp_path / name)) for argument in arguments], tmp_path / f"home-{name}"

    begun = time.monotonic()
    assert children.run(*into("uninterrupted")) == 0
    seconds = time.monotonic() - begun
    dice, kills = random.Random(time.time_ns()), 0
    for _ in range(ROUNDS):
        ended = children.run(*into("killed"), kill_after=seconds * dice.uniform(0.05, 0.5))
        assert ended in (0, -signal.SIGKILL)
        kills += ended == -signal.SIGKILL
    assert kills >= 1, "the command ended before it could be killed"
    assert children.run(*into("killed")) == 0
    uninterrupted = tree_hash(tmp_path / "uninterrupted", compared)
    assert uninterrupted and tree_hash(tmp_path / "killed", compared) == uninterrupted
    # Cached vision tokens, if any.
    assert tree_hash(tmp_path / "home-killed", "*.bin") == tree_hash(tmp_path / "home-uninterrupted", "*.bin")
    assert not list(tmp_path.glob("killed/**/*.tmp"))


def test_data_sample(children: Children, tmp_path: Path) -> None:
    families = [f"--{split}-families={count}" for split, count in (("train", 2), ("val", 1), ("test", 1), ("pool", 2))]
    require_same_after_kills(children, tmp_path, ["data", "sample", "OUT", *families], "*")


def test_train_retriever_and_the_feature_cache(children: Children, tmp_path: Path) -> None:
    data = make_data_folder(tmp_path / "data", families=8)
    length = ["--set", "training.steps=80", "--set", "training.checkpoint_every=5"]
    command = ["train", "retriever", "--recipe", "tiny-retriever", "--data", str(data), *length, "--out", "OUT"]
    require_same_after_kills(children, tmp_path, command, "retriever/*")
    assert tree_hash(tmp_path / "home-killed", "*.bin")


def test_synthesize(children: Children, tmp_path: Path) -> None:
    names = [image.name for image in draw_images(tmp_path / "images", 24)]
    pairs, generator = tmp_path / "pairs.parquet", tmp_path / "generator"
    write_pairs(pairs, [MinedPair(*names[start : start + 2]) for start in range(23)], {})
    ModificationGenerator.from_preset("tiny").save(generator)
    writing = ["--generator", str(generator), "--decoding", "nucleus", "--shard-size", "2"]
    writing += ["--precision", "fp32"]
    command = ["synthesize", str(tmp_path / "images"), "--pairs", str(pairs), *writing, "--out", "OUT"]
    require_same_after_kills(children, tmp_path, command, "s*.*")
