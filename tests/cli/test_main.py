import errno
import subprocess
import sys

import pytest

from helpers.command import Command
from likebut import __version__
from likebut.cli import main as module


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def failing_with(error: BaseException) -> object:
    def app() -> None:
        raise error

    return app


def test_a_full_disk_is_one_sentence(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "app", failing_with(OSError(errno.ENOSPC, "No space left", "/data/shard.bin")))
    stopped = command("train")
    assert stopped.code == 1
    assert stopped.err == (
        "likebut: The disk is full (/data/shard.bin). Make room; the same command goes on from here.\n"
    )


@pytest.mark.parametrize(
    ("number", "reason", "said"),
    [
        (errno.EROFS, "Read-only file system", "read-only file system"),
        (errno.ENAMETOOLONG, "File name too long", "file name too long"),
        (errno.EACCES, "Permission denied", "permission denied"),
        (errno.EIO, "Input/output error", "input/output error"),
    ],
)
def test_a_path_that_cannot_be_used_is_one_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch, number: int, reason: str, said: str
) -> None:
    monkeypatch.setattr(module, "app", failing_with(OSError(number, reason, "/data/.writer.lock")))
    stopped = command("train")
    assert stopped.code == 2
    assert stopped.err == f"likebut: /data/.writer.lock cannot be used: {said}. Check the path.\n"


def test_failures_of_the_system_without_a_path_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "app", failing_with(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(OSError, match="Input/output error"):
        module.main()


def test_ctrl_c_says_that_the_command_goes_on(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "app", failing_with(SystemExit(130)))
    stopped = command("train")
    assert stopped.code == 130 and stopped.err.startswith("likebut: stopped.")


def test_it_says_its_version(command: Command) -> None:
    said = command("--version")
    assert (said.code, said.out) == (0, f"likebut {__version__}\n")
    assert (
        said.out
        in subprocess.run([sys.executable, "-m", "likebut", "--version"], capture_output=True, text=True).stdout
    )
