from pathlib import Path

import pytest

from helpers.colour_retriever import colour_retriever
from helpers.command import Command
from likebut.retriever.retriever import Retriever


@pytest.fixture
def colour_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """The ``likebut`` command, whose every model is the colour retriever."""
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Retriever, "from_pretrained", lambda name, device=None: colour_retriever())
    return Command(monkeypatch, capsys)
