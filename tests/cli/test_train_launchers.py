"""Training in two processes on the CPU, started by each of the two launchers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import PACKAGE
from helpers.training_toys import free_port, make_data_folder
from likebut.training.metrics_log import read_metrics

# `accelerate launch --cpu` starts several processes through MPI alone; `--multi_gpu` starts them without a GPU, too.
LAUNCHERS = {
    "torchrun": ["torch.distributed.run", "--nproc_per_node=2", "--master_addr=127.0.0.1"],
    "accelerate": ["accelerate.commands.launch", "--multi_gpu", "--num_processes=2"],
}
PORT = {"torchrun": "master_port", "accelerate": "main_process_port"}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_launcher_trains_in_two_processes(launcher: str, tmp_path: Path) -> None:
    folder = make_data_folder(tmp_path / "data")
    train = ["-m", "likebut", "train", "retriever", "--recipe=tiny-retriever", f"--data={folder}", "--json"]
    settings = ["--set=training.steps=3", f"--out={tmp_path / 'out'}", f"--features={tmp_path / 'features'}"]
    # Without the variables that accelerate itself sets in this process, if it has one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE_")}
    environment |= {"PYTHONPATH": str(PACKAGE.parent), "OMP_NUM_THREADS": "1", "LIKEBUT_HOME": str(tmp_path / "home")}
    arguments = [sys.executable, "-m", *LAUNCHERS[launcher], f"--{PORT[launcher]}={free_port()}", *train, *settings]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    [result] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]  # of one process
    assert result["steps"] == 3
    assert json.loads((tmp_path / "out" / "training.json").read_text())["processes"] == 2
    assert read_metrics(tmp_path / "out")[-1]["step"] == 3
