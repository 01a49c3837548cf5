"""benchmarks/search.py at toy size: it runs, and measures a kept gallery again."""

import json
import runpy
from pathlib import Path

import pytest

from helpers.paths import REPOSITORY

SCRIPT = REPOSITORY / "benchmarks" / "search.py"
OF_THE_BUILD = ("add seconds", "index seconds", "disk MB", "build memory MB")


def test_a_kept_gallery_is_measured_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(str(SCRIPT))["main"]
    command = ["--images", "300", "--tokens", "2", "--width", "16", "--queries", "5", "--folder", str(tmp_path)]
    main(command)
    first = json.loads(capsys.readouterr().out)
    # Below the size from which there is an index, the store's search and the benchmark's own truth must agree.
    assert first["index"] == "exact"
    assert first["recall@10"] == first["filtered recall@10"] == first["exact recall@10"] == 1.0
    assert 0 < first["p50 ms"] <= first["p95 ms"]
    gallery = sorted(tmp_path.rglob("*.lance"))
    main(command)
    again = json.loads(capsys.readouterr().out)
    assert {name: again[name] for name in OF_THE_BUILD} == {name: first[name] for name in OF_THE_BUILD}
    assert sorted(tmp_path.rglob("*.lance")) == gallery
