"""A headless Chromium before a live server. Without one, these tests are skipped and say what to install."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Helpers of the server's and the gallery's tests.
sys.path[:0] = [str(Path(__file__).parent), *(str(Path(__file__).parents[1] / each) for each in ("server", "gallery"))]

playwright_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install 'likebut[dev]'"
)

from live_server import LiveServer  # noqa: E402
from page_driver import PATIENCE_MS, Visitor  # noqa: E402
from server_samples import filled_gallery  # noqa: E402

from likebut.server.service import Service  # noqa: E402
from likebut.server.settings import ServerSettings  # noqa: E402

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Not for the whole session: as long as Playwright is there, its event loop runs in this thread, and no other can.
@pytest.fixture(scope="module")
def browser() -> Iterator["playwright_api.Browser"]:
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine, so the page is not tested: make browser")
    with playwright_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=_FLAGS, timeout=PATIENCE_MS)
        yield launched
        launched.close()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveServer]:
    with LiveServer(Service(filled_gallery(), ServerSettings(uploads=tmp_path / "uploads"))) as server:
        yield server


@pytest.fixture
def visitor(browser: "playwright_api.Browser", live: LiveServer) -> Iterator[Visitor]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visiting = Visitor(context.new_page(), live)
    yield visiting
    context.close()
    visiting.check_nothing_odd_happened()
