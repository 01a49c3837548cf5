import pytest

from helpers.colour_retriever import colour_retriever
from helpers.command import Command
from likebut.retriever.retriever import Retriever


@pytest.fixture
def colour_command(likebut: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, with the colour retriever as every model."""
    monkeypatch.setattr(Retriever, "from_pretrained", lambda name, device=None: colour_retriever())
    return likebut
