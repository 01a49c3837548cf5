import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import HFValidationError

from helpers.errors import raises
from likebut import ModificationGenerator, Retriever
from likebut.errors import InputError, LikebutError
from likebut.models.preset import load_preset
from likebut.retriever.retriever import RetrieverConfig


class FakeHub:
    """Stands in for ``HfApi``: keeps the uploaded files of one repository."""

    calls: list[tuple[str, dict[str, Any]]] = []
    files: dict[str, bytes] = {}

    def __init__(self, token: str | None = None) -> None:
        self.calls.append(("token", {"token": token}))

    def create_repo(self, repo_id: str, **options: Any) -> None:
        if " " in repo_id:
            raise HFValidationError("Repo id must be valid.")
        self.calls.append((repo_id, options))

    def file_exists(self, repo_id: str, name: str) -> bool:
        return name in self.files

    def upload_folder(self, repo_id: str, folder_path: Path, commit_message: str) -> SimpleNamespace:
        self.files.update({path.name: path.read_bytes() for path in Path(folder_path).iterdir()})
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}/commit/1")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> type[FakeHub]:
    monkeypatch.setattr(FakeHub, "calls", [])
    monkeypatch.setattr(FakeHub, "files", {})
    monkeypatch.setattr(huggingface_hub, "HfApi", FakeHub)
    return FakeHub


@pytest.mark.parametrize("kind", [Retriever, ModificationGenerator])
def test_what_is_uploaded_loads_as_the_model(kind: Any, hub: type[FakeHub], tmp_path: Path) -> None:
    model = kind.from_preset("tiny", device="cpu")
    url = model.push_to_hub("me/mine", private=True, token="secret")
    assert url == "https://hub/me/mine/commit/1"
    assert hub.calls == [("token", {"token": "secret"}), ("me/mine", {"private": True, "exist_ok": True})]
    assert set(hub.files) == {"config.json", "model.safetensors", "README.md"}
    for name, content in hub.files.items():
        (tmp_path / name).write_bytes(content)
    loaded = kind.from_pretrained(tmp_path, "cpu")
    assert loaded.config.weights_sha256 == json.loads(hub.files["config.json"])["weights_sha256"]
    card = hub.files["README.md"].decode()
    assert f'{kind.__name__}.from_pretrained("me/mine")' in card and "library_name: likebut" in card


def test_a_model_card_that_is_there_is_kept(hub: type[FakeHub]) -> None:
    hub.files["README.md"] = b"# mine"
    Retriever.from_preset("tiny", device="cpu").push_to_hub("me/mine")
    assert hub.files["README.md"] == b"# mine"


def test_a_failed_upload_is_one_error(hub: type[FakeHub]) -> None:
    with raises(LikebutError, "hub-upload-failed", "no id"):
        Retriever.from_preset("tiny", device="cpu").push_to_hub("no id")


def test_a_model_with_parts_of_this_machine_alone_is_refused(hub: type[FakeHub], tmp_path: Path) -> None:
    tiny = load_preset("tiny")
    values = tiny.model_dump() | {"name": "local", "hub_sources": {"vision": {"hub": str(tmp_path)}}}
    retriever = Retriever.from_preset("tiny", device="cpu")
    retriever.config = RetrieverConfig(kind="ptha", preset=type(tiny).model_validate(values))
    with raises(InputError, "local-parts", "vision"):
        retriever.push_to_hub("me/mine")
    assert hub.files == {}
