import json
from pathlib import Path

import pytest
import torch
from torch import nn

from helpers.errors import raises
from likebut.errors import InputError, MissingWeightsError
from likebut.models import model_folder
from likebut.models.model_folder import (
    find_model_folder,
    load_trained_state,
    read_model_folder,
    save_model_folder,
    trained_state,
)


def network() -> nn.Sequential:
    torch.manual_seed(1)
    layers = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    layers[0].requires_grad_(False)
    return layers


def test_round_trip_of_the_trained_parameters_alone(tmp_path: Path) -> None:
    one, other = network(), network()
    nn.init.ones_(other[1].weight)
    state = trained_state(one)
    assert set(state) == {"1.weight", "1.bias"}
    save_model_folder(tmp_path / "m", {"job": "retriever"}, state)
    config, loaded = read_model_folder(tmp_path / "m")
    assert config["job"] == "retriever" and len(config["weights_sha256"]) == 64
    load_trained_state(other, loaded, tmp_path)
    torch.testing.assert_close(other[1].weight, one[1].weight)


def test_half_precision_on_disk_becomes_the_models_precision(tmp_path: Path) -> None:
    save_model_folder(tmp_path, {}, {name: value.half() for name, value in trained_state(network()).items()})
    model = network()
    load_trained_state(model, read_model_folder(tmp_path)[1], tmp_path)
    assert model[1].weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda state: state.pop("1.bias"), ("1.bias", "1 missing", "0 unknown")),
        (lambda state: state.update(stranger=torch.zeros(1)), ("stranger", "0 missing", "1 unknown")),
        (lambda state: state.update({"1.bias": torch.zeros(5)}), ("1.bias", (5,), (2,))),
    ],
)
def test_a_mismatching_state_is_refused(change, named: tuple[object, ...], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    state = dict(trained_state(network()))
    change(state)
    with raises(InputError, "parameter-mismatch", *named):
        load_trained_state(network(), state, tmp_path)


def test_saving_over_a_model_never_leaves_an_old_configuration_on_new_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model_folder(tmp_path, {"revision": "old"}, trained_state(network()))

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(model_folder, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_model_folder(tmp_path, {"revision": "new"}, trained_state(network()))
    with raises(InputError, "no-such-file"):
        read_model_folder(tmp_path)


def test_damaged_weights_are_an_input_error(tmp_path: Path) -> None:
    save_model_folder(tmp_path, {}, trained_state(network()))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:40])
    with raises(InputError, None, "model.safetensors"):
        read_model_folder(tmp_path)


def test_a_configuration_must_be_an_object(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[1]")
    with raises(InputError, "not-a-model-folder"):
        read_model_folder(tmp_path)


def test_find_by_folder_by_the_job_within_it_and_by_published_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "mine", tmp_path / "both" / "retriever", tmp_path / "weights" / "small-retriever"):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({}))
    published = {"small-retriever": tmp_path / "weights" / "small-retriever"}
    monkeypatch.setattr(model_folder, "published_weights", lambda: published)
    assert find_model_folder(tmp_path / "mine", "retriever") == tmp_path / "mine"
    assert find_model_folder(str(tmp_path / "both"), "retriever") == tmp_path / "both" / "retriever"
    assert find_model_folder("small", "retriever") == published["small-retriever"]
    with raises(MissingWeightsError, None, "generator", "small"):
        find_model_folder("small", "generator")
    with raises(MissingWeightsError, None, "small"):
        find_model_folder("smal", "retriever")
    with raises(MissingWeightsError, None, "config.json"):
        find_model_folder(tmp_path, "retriever")


def test_an_unavailable_hub_id_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def refuse(*_: object, **__: object) -> str:
        raise OSError("no route to host.\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with raises(MissingWeightsError, "missing-weights", "some/model", "no route to host"):
        find_model_folder("some/model", "retriever")


def test_a_folder_of_images_does_not_shadow_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    assert find_model_folder("small", "retriever").name == "small-retriever"
    (tmp_path / "small" / "retriever").mkdir()
    (tmp_path / "small" / "retriever" / "config.json").write_text("{}")
    assert find_model_folder("small", "retriever") == Path("small/retriever")
