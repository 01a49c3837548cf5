"""A headless Chromium and a live server. Without Chromium the tests are skipped."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.live_server import LiveServer
from helpers.page_driver import PATIENCE_MS, Visitor
from helpers.server_samples import filled_gallery
from likebut.server.service import Service
from likebut.server.settings import ServerSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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


# Not session-scoped: while Playwright is open, its event loop occupies this thread.
@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    playwright_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install 'likebut[dev]'"
    )
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("Chromium is not installed: make browser")
    with playwright_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=_FLAGS, timeout=PATIENCE_MS)
        yield launched
        launched.close()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveServer]:
    with LiveServer(Service(filled_gallery(), ServerSettings(uploads=tmp_path / "uploads"))) as server:
        yield server


@pytest.fixture
def visitor(browser: "Browser", live: LiveServer) -> Iterator[Visitor]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visiting = Visitor(context.new_page(), live)
    yield visiting
    context.close()
    visiting.require_no_errors()
