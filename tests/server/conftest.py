import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Helpers beside the tests and the gallery's fake retriever, which importlib mode does not put on the path.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "gallery")]

from live_server import LiveServer  # noqa: E402
from server_samples import filled_gallery  # noqa: E402

from likebut.server.service import Service  # noqa: E402
from likebut.server.settings import ServerSettings  # noqa: E402


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveServer]:
    """A server on a port of its own, with eight coloured pictures."""
    settings = ServerSettings(uploads=tmp_path / "uploads")
    with LiveServer(Service(filled_gallery(), settings)) as server:
        yield server
