from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import HfHubHTTPError
from safetensors.torch import save_file

from helpers.errors import raises
from helpers.hub_models import hub_preset
from likebut.errors import InputError, MissingWeightsError
from likebut.files import sha256_of, write_json
from likebut.models.devices import choose_device
from likebut.models.hub import find_local_source, find_source, read_tensors, weights_sha256
from likebut.models.preset import Preset, load_preset


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    monkeypatch.delenv("LIKEBUT_MODELS", raising=False)


def test_a_folder_or_one_below_likebut_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert find_source(str(tmp_path)) == tmp_path
    monkeypatch.setenv("LIKEBUT_MODELS", str(tmp_path))
    assert find_source("owner/name") == tmp_path / "owner" / "name"


def test_an_unreachable_hub_is_reported_with_a_remedy() -> None:
    with raises(MissingWeightsError, None, "no route to host", "LIKEBUT_MODELS/owner/name"):
        find_source("owner/name")
    with raises(MissingWeightsError, None, "/no/such"):
        find_source("/no/such")


def test_a_broken_connection_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = next(base for base in HfHubHTTPError.__bases__ if base is not OSError)("peer closed connection")

    def break_off(*_: object, **__: object) -> str:
        raise cut

    monkeypatch.setattr(huggingface_hub, "snapshot_download", break_off)
    with raises(MissingWeightsError, None, "peer closed connection"):
        find_source("owner/name")


def test_an_incomplete_download_is_not_found(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {})
    assert find_local_source(str(tmp_path)) is None
    write_json(tmp_path / "model.safetensors.index.json", {"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}})
    save_file({"a": torch.ones(1)}, tmp_path / "1.safetensors")
    assert find_local_source(str(tmp_path)) is None
    save_file({"b": torch.ones(1)}, tmp_path / "2.safetensors")
    assert find_local_source(str(tmp_path)) == tmp_path
    assert find_local_source("~/no such place") is None
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": ')
    assert find_local_source(str(tmp_path)) is None


def test_only_the_files_with_wanted_tensors_are_opened(tmp_path: Path) -> None:
    save_file({"vision.weight": torch.ones(2)}, tmp_path / "one.safetensors")
    (tmp_path / "two.safetensors").write_bytes(b"damaged, but nobody needs it")
    places = {"vision.weight": "one.safetensors", "language.weight": "two.safetensors"}
    write_json(tmp_path / "model.safetensors.index.json", {"weight_map": places})
    assert list(read_tensors(tmp_path, ["vision."])) == ["vision.weight"]
    with raises(InputError, None, "two.safetensors"):
        read_tensors(tmp_path, ["language."])


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    with raises(InputError, "no-weights", "model.safetensors"):
        read_tensors(tmp_path, ["a"])


def test_checksums_come_from_the_names_in_the_hubs_cache(tmp_path: Path) -> None:
    plain, cached = tmp_path / "plain", tmp_path / "cached"
    plain.mkdir()
    cached.mkdir()
    save_file({"a": torch.ones(2)}, plain / "model.safetensors")
    digest = sha256_of(plain / "model.safetensors")
    (tmp_path / digest).write_bytes(b"not read")
    (cached / "model.safetensors").symlink_to(tmp_path / digest)
    assert weights_sha256(cached) == weights_sha256(plain)


def test_a_gpu_preset_is_refused_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIKEBUT_ON_CPU", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with raises(InputError, "needs-gpu", "paper"):
        choose_device(load_preset("paper"))
    monkeypatch.setenv("LIKEBUT_ON_CPU", "1")
    assert choose_device(load_preset("paper")) == torch.device("cpu")
    assert choose_device(load_preset("tiny")) == torch.device("cpu")


def test_sources_beside_the_presets_file(tmp_path: Path) -> None:
    write_json(tmp_path / "mine.json", hub_preset("./beside", "owner/name"))
    sources = load_preset(tmp_path / "mine.json").hub_sources
    assert sources["blip2"].hub == str(tmp_path / "beside")
    assert sources["instructblip"].hub == "owner/name"


def test_a_shipped_preset_is_saved_by_name_and_a_changed_one_whole() -> None:
    tiny = load_preset("tiny")
    assert tiny.reference() == "tiny"
    changed = tiny.model_copy(update={"embedding_size": 8})
    assert changed.reference() is changed
    assert load_preset(changed.model_dump()) == changed
    assert not tiny.takes_weights_of(changed, "retriever")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vision__source": "nowhere"}, '"nowhere" is not among sources'),
        ({"vision__source": None}, 'kind "blip2" has the source None'),
        ({"vision__tokens": 0}, "tokens must be greater"),
        ({"generator_query_encoder__image_width": 31}, r"image_width \(31\) must equal"),
    ],
)
def test_a_preset_whose_parts_do_not_fit(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preset.model_validate(hub_preset("a/b", "c/d", **changes))
