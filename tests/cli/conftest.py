import sys
from pathlib import Path
from typing import Any

import pytest

# Helpers beside the tests, the official layouts in small, and children to kill; importlib mode puts none on the path.
TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / folder) for folder in ("cli", "benchmarks", "training")]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    from command import Command

    return Command(monkeypatch, capsys)
