from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.live_server import LiveServer
from helpers.server_samples import filled_gallery
from likebut.server.service import Service
from likebut.server.settings import ServerSettings


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveServer]:
    """A server on a free port with eight coloured images."""
    settings = ServerSettings(uploads=tmp_path / "uploads")
    with LiveServer(Service(filled_gallery(), settings)) as server:
        yield server
