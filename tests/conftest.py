"""Settings of every test, and the fixtures that several packages use."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

# Before torch is imported: tests run in parallel, and small tensors gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test needs the network: a lookup on the hub fails at once.
os.environ["HF_HUB_OFFLINE"] = "1"
# Bit-identical results are guaranteed on the CPU only.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
# On a loaded machine a single example may exceed any deadline.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

if TYPE_CHECKING:
    from helpers.command import Command


@pytest.fixture
def likebut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Command":
    """The command in the working directory ``tmp_path``, with an empty cache folder and none of the user's settings."""
    from helpers.command import Command

    for name in ("LIKEBUT_GALLERY", "LIKEBUT_MODELS", "LIKEBUT_ON_CPU", "LIKEBUT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.chdir(tmp_path)
    return Command()
