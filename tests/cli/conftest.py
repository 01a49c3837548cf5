from typing import Any

import pytest


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    from helpers.command import Command

    return Command(monkeypatch, capsys)
