"""The rules of axe-core in each state of the page, light and dark, wide and narrow."""

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from helpers.live_server import LiveServer
from helpers.page_driver import Visitor
from helpers.server_samples import empty_gallery, picture
from likebut.server.service import Service
from likebut.server.settings import ServerSettings

# Forty runs of axe-core take minutes of CPU time.
pytestmark = pytest.mark.slow


def look_at_gallery(visitor: Visitor) -> None:
    visitor.open()


def search(visitor: Visitor) -> None:
    image_id = visitor.server.request("GET", "/v1/images?limit=1").json()["images"][0]["id"]
    visitor.open(f"/?text=red&then&image_id={image_id}&text=blue&negative=white&filter=%7B%22kids%22%3Atrue%7D")


def open_filters(visitor: Visitor) -> None:
    visitor.open('/?filter={"tags":["plain"]}')
    visitor.page.locator("#filters-open").click()
    visitor.page.locator("#filters summary").click()


def open_details(visitor: Visitor) -> None:
    visitor.open("/?text=blue")
    visitor.page.locator(".tile .expand").first.click(force=True)


def upload(visitor: Visitor) -> None:
    visitor.open()
    visitor.upload("mine.png", picture((200, 30, 30)))
    visitor.page.locator("#note").wait_for()


def cannot_share(visitor: Visitor) -> None:
    upload(visitor)
    visitor.page.locator("#share").click()


def find_nothing(visitor: Visitor) -> None:
    visitor.open('/?filter={"price":{">":999}}')


def lose_the_server(visitor: Visitor) -> None:
    visitor.expected_failures = True
    visitor.page.route("**/v1/search", lambda route: route.abort())
    visitor.open("/?text=red")


def ask_for_help(visitor: Visitor) -> None:
    visitor.open()
    visitor.page.locator("#help-open").click()


STATES = [
    look_at_gallery,
    search,
    open_filters,
    open_details,
    upload,
    cannot_share,
    find_nothing,
    lose_the_server,
    ask_for_help,
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_rules_in_every_state(browser: Browser, live: LiveServer, width: int, scheme: str) -> None:
    for state in STATES:
        assert violations(browser, live, state, width, scheme) == [], state.__name__


def test_axe_rules_with_an_empty_gallery(browser: Browser, tmp_path: Path) -> None:
    gallery = empty_gallery(tmp_path / "gallery")
    with LiveServer(Service(gallery, ServerSettings(uploads=tmp_path / "uploads"))) as server:
        assert violations(browser, server, look_at_gallery, 1440, "light") == []


def violations(
    browser: Browser, server: LiveServer, state: Callable[[Visitor], None], width: int, scheme: str
) -> list[str]:
    context = browser.new_context(
        viewport={"width": width, "height": 850}, color_scheme=scheme, reduced_motion="reduce", has_touch=width < 600
    )
    visitor = Visitor(context.new_page(), server)
    state(visitor)
    found = Axe().run(visitor.page).response["violations"]
    context.close()
    visitor.require_no_errors()
    return [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in found for node in each["nodes"]]
