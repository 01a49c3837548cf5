"""The example of docs/training.md is executed as it is printed."""

import re
from pathlib import Path
from typing import Any

import pytest

from helpers.paths import PACKAGE
from helpers.training_toys import make_data_folder
from likebut import Retriever
from likebut.training.metrics_log import read_metrics

PAGE = PACKAGE.parents[1] / "docs" / "training.md"


def test_the_documented_example_trains_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    make_data_folder(tmp_path / "my-data", families=7)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Retriever, "from_pretrained", lambda name: Retriever.from_preset("tiny", device="cpu"))
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    assert (tmp_path / "run" / "retriever" / "model.safetensors").is_file()
    evaluated = [row for row in read_metrics(tmp_path / "run") if "evaluation/Recall@10" in row]
    assert evaluated and names["trainer"].recipe.training.best_metric == "Recall@10"
    again: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), again)
    assert again["retriever"].identity == names["retriever"].identity
