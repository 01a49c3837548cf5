"""benchmarks/training_step.py at toy size."""

import json
import runpy
from pathlib import Path

import pytest

from helpers.paths import REPOSITORY

SCRIPT = REPOSITORY / "benchmarks" / "training_step.py"


def test_every_variant_is_measured_and_has_the_same_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = runpy.run_path(str(SCRIPT))
    out = tmp_path / "costs.json"
    script["main"](["--preset", "tiny", "--batch-size", "4", "--steps", "2", "--device", "cpu", "--out", str(out)])
    variants = {row["variant"]: row for row in json.loads(out.read_text())["variants"]}
    cached, recomputed = variants["cached tokens, on the device"], variants["vision encoder in every step"]
    assert cached["first_loss"] == pytest.approx(recomputed["first_loss"], rel=0.02)
    # PatchNetwork on 8 images of 32×32 in 4×4 patches of 8 pixels: two convolutions, 2 operations for each product.
    convolutions = 2 * 8 * 16 * 32 * (3 * 8 * 8 + 9 * 32)
    assert (recomputed["step_teraflops"] - cached["step_teraflops"]) * 1e12 == pytest.approx(convolutions, rel=1e-6)
    assert all(row["steps_per_second"] > 0 and 0 < row["utilisation"] < 10 for row in variants.values())
    assert "of the rate, loss" in capsys.readouterr().out


def test_different_losses_are_an_error() -> None:
    script = runpy.run_path(str(SCRIPT))
    rows = [script["StepCost"](f"variant {loss}", loss, 1, 1, 1, 1, 1) for loss in (1.0, 1.1)]
    with pytest.raises(SystemExit, match="1.1, not 1.0"):
        script["check_losses"](rows)
