"""`likebut models export`, `likebut models push` and `likebut report grounding`."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from safetensors.torch import load_file

from helpers.command import Command
from likebut.files import write_jsonl
from likebut.generator.generator import ModificationGenerator
from likebut.research.sample_data.sample import SampleSettings, make_sample
from likebut.retriever.retriever import Retriever


def test_export_in_half_precision_keeps_the_embeddings(likebut: Command, tmp_path: Path) -> None:
    Retriever.from_preset("tiny").save(tmp_path / "whole")
    done = likebut("models", "export", tmp_path / "whole", "retriever", tmp_path / "half")
    assert done.code == 0, done.err
    whole, half = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "half"))
    assert {str(value.dtype) for value in half.values()} == {"torch.float16"}
    assert half.keys() == whole.keys()
    one = Retriever.from_pretrained(tmp_path / "whole").embed_texts(["in red"])
    other = Retriever.from_pretrained(tmp_path / "half").embed_texts(["in red"])
    assert float((one * other).sum()) == pytest.approx(1.0, abs=1e-3)


def test_export_refuses_an_existing_folder(likebut: Command, tmp_path: Path) -> None:
    Retriever.from_preset("tiny").save(tmp_path / "model")
    done = likebut("models", "export", tmp_path / "model", "retriever", tmp_path / "model")
    done.require_refused(str(tmp_path / "model"), code="already-exists")


class FakeHub:
    """The part of ``huggingface_hub.HfApi`` that an upload uses; it stores repositories as folders."""

    root: Path
    private: bool | None = None

    def __init__(self, token: str | None = None) -> None:
        pass

    def create_repo(self, repo_id: str, private: bool, exist_ok: bool) -> None:
        FakeHub.private = private
        (self.root / repo_id).mkdir(parents=True, exist_ok=exist_ok)

    def file_exists(self, repo_id: str, name: str) -> bool:
        return (self.root / repo_id / name).is_file()

    def upload_folder(self, repo_id: str, folder_path: Path, commit_message: str) -> SimpleNamespace:
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)
        return SimpleNamespace(commit_url=f"https://hub.example/{repo_id}/commit/1")


def test_push_uploads_a_folder_that_loads(likebut: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeHub, "root", tmp_path / "hub", raising=False)
    monkeypatch.setattr("huggingface_hub.HfApi", FakeHub)
    model = Retriever.from_preset("tiny")
    model.save(tmp_path / "run" / "retriever")
    printed = likebut("models", "push", tmp_path / "run", "retriever", "someone/model", "--private", "--json").json()
    assert printed == {"repository": "someone/model", "commit": "https://hub.example/someone/model/commit/1"}
    assert FakeHub.private is True
    uploaded = tmp_path / "hub" / "someone" / "model"
    assert "someone/model" in (uploaded / "README.md").read_text()
    loaded = Retriever.from_pretrained(uploaded)
    assert (loaded.embed_texts(["in red"]) == model.embed_texts(["in red"])).all()


def test_grounding_of_an_untrained_generator(likebut: Command, tmp_path: Path) -> None:
    sizes = SampleSettings(train_families=1, val_families=0, test_families=2, pool_families=0)
    make_sample(tmp_path / "sample", sizes)
    ModificationGenerator.from_preset("tiny").save(tmp_path / "generator")
    done = likebut(
        "report", "grounding", tmp_path / "sample", "--generator", tmp_path / "generator", "--pairs", "4",
        "--features", tmp_path / "features", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    metrics = json.loads(done.out)
    assert metrics["pairs"] == 4 and metrics["f1"] == 0.0


def test_grounding_with_attributes(likebut: Command, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    looks = {"a.png": ("t-shirt", "navy", "plain"), "b.png": ("dress", "red", "striped")}
    for name in looks:
        Image.new("RGB", (32, 32), "red" if name == "b.png" else "navy").save(folder / "images" / name)
    rows = [
        {"image": name, "split": "val", "attributes": dict(zip(("type", "colour", "pattern"), look, strict=True))}
        for name, look in looks.items()
    ]
    write_jsonl(folder / "attributes.jsonl", rows)
    triplet = {"split": "val", "reference": "a.png", "target": "b.png", "modification": "a red dress, not plain"}
    write_jsonl(folder / "triplets.jsonl", [triplet])
    done = likebut("report", "grounding", folder, "--split", "val", "--own-texts", "--json")
    assert done.code == 0, done.err
    metrics = json.loads(done.out)
    assert (metrics["pairs"], metrics["precision"]) == (1, 100.0)
    assert metrics["recall"] == pytest.approx(200 / 3)
    ModificationGenerator.from_preset("tiny").save(tmp_path / "generator")
    place = ("--generator", tmp_path / "generator", "--features", tmp_path / "features")
    written = likebut("report", "grounding", folder, "--split", "val", *place)
    assert written.code == 0 and "type: dress; colour: red; pattern: striped" in written.out
