import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from helpers.errors import raises
from likebut.errors import InputError
from likebut.models.checkpoint_file import read_checkpoint

TENSORS = {"query_tokens": torch.ones(1, 2, 3), "temp": torch.tensor(0.07)}


class Dangerous:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this code must not run",))


@pytest.mark.parametrize(
    "content",
    [
        TENSORS,
        {"model": TENSORS, "epoch": 3, "optimizer": {"state": {}}},
        {"epoch": 3, "Blip2QformerCirAlignPrompt": TENSORS},
        {"state_dict": {f"module.{name}": value for name, value in TENSORS.items()}},
    ],
)
def test_nested_tensors_are_found(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "checkpoint.pth")
    found = read_checkpoint(tmp_path / "checkpoint.pth")
    assert set(found.tensors) == set(TENSORS)
    torch.testing.assert_close(found.tensors["query_tokens"], TENSORS["query_tokens"])


def test_an_old_file_without_a_zip_is_read_too(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert set(read_checkpoint(tmp_path / "old.pt").tensors) == set(TENSORS)


def test_safetensors_bring_their_configuration(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "c.safetensors", {"config": '{"num_attention_heads": 4}'})
    assert read_checkpoint(tmp_path / "c.safetensors").config == {"num_attention_heads": 4}
    save_file(TENSORS, tmp_path / "d.safetensors", {"config": "not json"})
    assert read_checkpoint(tmp_path / "d.safetensors").config == {}


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": TENSORS, "trainer": Dangerous()}, tmp_path / "c.pth")
    with raises(InputError, "unsafe-pickle"):
        read_checkpoint(tmp_path / "c.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Dangerous(), protocol=2))
    with pytest.raises(InputError):
        read_checkpoint(tmp_path / "plain.pth")
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["c.pth", "c.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no checkpoint at all, but some text"])
def test_a_damaged_file_is_an_input_error(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with raises(InputError, None, name):
        read_checkpoint(tmp_path / name)


def test_a_file_without_tensors_and_a_missing_one(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "c.pth")
    with raises(InputError, "no-tensors"):
        read_checkpoint(tmp_path / "c.pth")
    with raises(InputError, "no-such-file"):
        read_checkpoint(tmp_path / "other.pth")
