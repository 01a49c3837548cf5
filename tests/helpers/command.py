"""Running the ``likebut`` command inside the test's process."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from likebut.cli.main import main


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


class Command:
    """Calls the command as a shell would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str | Path) -> Result:
        self._monkeypatch.setattr(sys, "argv", ["likebut", *map(str, arguments)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main()
        written = self._capsys.readouterr()
        return Result(int(exit_info.value.code or 0), written.out, written.err)
