import errno
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from helpers.command import Command
from likebut import __version__
from likebut.cli import main as module


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the name and the click command of every command that does something."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(module.app)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_a_valid_example(likebut: Command, path: tuple[str, ...]) -> None:
    epilog = COMMANDS[path].epilog or ""
    assert epilog.startswith("Example: likebut ")
    words = shlex.split(epilog.removeprefix("Example: likebut "))
    assert tuple(words[: len(path)]) == path
    COMMANDS[path].make_context(path[-1], words[len(path) :])  # raises if an option or argument is wrong
    shown = likebut(*path, "--help")
    assert shown.code == 0 and "Example: likebut " in shown.out


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_has_a_help_text(path: tuple[str, ...]) -> None:
    for parameter in COMMANDS[path].params:
        assert getattr(parameter, "help", None), parameter.name


def test_help_imports_nothing_slow() -> None:
    # Each of these takes longer to import than `likebut --help` may take.
    slow = ("torch", "transformers", "lancedb", "numpy", "PIL", "pydantic", "fastapi", "starlette", "huggingface_hub")
    code = f"import sys, likebut.cli.main; print([name for name in {slow} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def failing_with(error: BaseException) -> object:
    def app() -> None:
        raise error

    return app


def test_full_disk(likebut: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "app", failing_with(OSError(errno.ENOSPC, "No space left", "/data/shard.bin")))
    stopped = likebut("train")
    assert stopped.code == 1
    assert stopped.err.count("\n") == 1 and "/data/shard.bin" in stopped.err


@pytest.mark.parametrize(
    ("number", "reason", "shown"),
    [
        (errno.EROFS, "Read-only file system", "read-only file system"),
        (errno.ENAMETOOLONG, "File name too long", "file name too long"),
        (errno.EACCES, "Permission denied", "permission denied"),
        (errno.EIO, "Input/output error", "input/output error"),
    ],
)
def test_unusable_path(likebut: Command, monkeypatch: pytest.MonkeyPatch, number: int, reason: str, shown: str) -> None:
    monkeypatch.setattr(module, "app", failing_with(OSError(number, reason, "/data/.writer.lock")))
    stopped = likebut("train")
    assert stopped.code == 2
    assert stopped.err.startswith(f"likebut: /data/.writer.lock: {shown}.") and stopped.err.count("\n") == 1


def test_os_error_without_a_path_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "app", failing_with(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(OSError, match="Input/output error"):
        module.main()


def test_ctrl_c(likebut: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "app", failing_with(SystemExit(130)))
    stopped = likebut("train")
    assert stopped.code == 130 and stopped.err.startswith("likebut: ")


def test_version(likebut: Command) -> None:
    shown = likebut("--version")
    assert (shown.code, shown.out) == (0, f"likebut {__version__}\n")
    child = subprocess.run([sys.executable, "-m", "likebut", "--version"], capture_output=True, text=True, check=True)
    assert child.stdout == shown.out
