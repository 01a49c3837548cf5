"""The ``likebut`` command, run inside the test's process."""

import io
import json
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from likebut.cli import main as cli
from likebut.errors import LikebutError


@dataclass(frozen=True)
class Result:
    """What a command printed, its exit code, and the error behind the message on standard error."""

    code: int
    out: str
    err: str
    error: LikebutError | None = None

    def json(self) -> Any:
        """Return the JSON on standard output of a command that succeeded."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def require_refused(self, *named: str, code: str | None = None, exit_code: int = 2) -> None:
        """Check that the command failed with one line that names values, and printed nothing else.

        Args:
            named: What the message names: a file, a line, a key, a number, a near miss, a command.
            code: The error's stable code.
            exit_code: 2 for wrong input, 1 for a failure.
        """
        assert (self.code, self.out) == (exit_code, ""), self.err
        line = self.err.splitlines()[-1]
        assert self.error is not None and line == f"likebut: {self.error.problem} {self.error.remedy}"
        assert self.error.remedy
        for value in named:
            assert re.search(rf"(?<!\w){re.escape(value)}(?!\w)", line), (value, line)
        assert code is None or self.error.code == code


class Command:
    """Calls the command as a shell would."""

    def __init__(self, *_: object) -> None:
        """Accept and ignore pytest's ``monkeypatch`` and ``capsys``."""

    def __call__(self, *arguments: str | int | float | Path) -> Result:
        raised: list[LikebutError] = []

        def recording(app: Callable[[], object]) -> Callable[[], object]:
            def run() -> object:
                try:
                    return app()
                except LikebutError as error:
                    raised.append(error)
                    raise

            return run

        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["likebut", *map(str, arguments)])
            patch.setattr(cli, "app", recording(cli.app))
            with pytest.raises(SystemExit) as stop:
                cli.main()
        return Result(int(stop.value.code or 0), out.getvalue(), err.getvalue(), raised[0] if raised else None)
