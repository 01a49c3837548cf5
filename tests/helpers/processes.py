"""Child processes that import the tests' helpers."""

import os
import sys

from helpers.paths import TESTS


def helper_command(module: str, *arguments: object) -> list[str]:
    """Return the command that runs a module of ``helpers`` as a program; it needs :func:`child_environment`."""
    return [sys.executable, "-m", f"helpers.{module}", *map(str, arguments)]


def child_environment(**changes: str) -> dict[str, str]:
    """Return the environment of a child process that finds the tests' packages."""
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, **changes}
