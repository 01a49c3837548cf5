"""Actions on the page, and expectations of what it shows."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import Locator, Page, expect

from helpers.live_server import LiveServer
from helpers.server_samples import COLOURS, picture
from likebut.gallery.images import content_id

# Waits end as soon as the page shows what is expected; a browser on a loaded machine needs a long timeout.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)

IDS = {name: content_id(picture(colour)) for name, colour in COLOURS.items()}
STRANGE = picture((255, 40, 40))  # similar to the red image, and not in the gallery


class Visitor:
    """Drives the page and records script errors and requests to other hosts."""

    def __init__(self, page: Page, server: LiveServer) -> None:
        self.page, self.server = page, server
        self.errors: list[str] = []
        self.other_hosts: list[str] = []
        self.expected_failures = False
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._record_console(message.type, message.text))
        page.on("request", lambda request: self._record_request(request.url))

    def _record_console(self, kind: str, text: str) -> None:
        is_failed_request = text.startswith("Failed to load resource")
        if kind == "error" and not (is_failed_request and self.expected_failures):
            self.errors.append(text)

    def _record_request(self, url: str) -> None:
        if not url.startswith((self.server.url + "/", f"blob:{self.server.url}/")):
            self.other_hosts.append(url)

    def require_no_errors(self) -> None:
        assert not self.errors, self.errors
        assert not self.other_hosts, self.other_hosts

    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.page.url).query, keep_blank_values=True)

    def open(self, path: str = "/") -> None:
        self.page.goto(self.server.url + path)
        expect(self.page.locator("#summary:not(:empty), #state > *, dialog[open]").first).to_be_visible()

    def upload(self, name: str, content: bytes) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name="Start from an image").click()
        chooser.value.set_files([{"name": name, "mimeType": "image/png", "buffer": content}])

    def say(self, text: str) -> None:
        self.words.fill(text)
        self.words.press("Enter")

    def expect_title(self, text: str) -> None:
        expect(self.page.locator("#summary")).to_have_text(text)

    def expect_names(self, *names: str) -> None:
        """Check the first images, best first; further ones may follow."""
        for number, name in enumerate(names):
            expect(self.tiles.nth(number).locator(".pick")).to_have_attribute(
                "aria-label", f"More like this, but…: {name}.png"
            )

    def tile(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=f"More like this, but…: {name}.png")

    @property
    def words(self) -> Locator:
        return self.page.locator("#text")

    @property
    def tiles(self) -> Locator:
        return self.page.locator(".tile")

    @property
    def steps(self) -> Locator:
        return self.page.locator("#trail .step")


def screenshot(page: Page, path: Path) -> None:
    """Save a screenshot after all images have loaded."""
    page.wait_for_load_state("networkidle")
    page.screenshot(path=path)
