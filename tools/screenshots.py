"""Screenshots of the page's states for docs/images/, taken with the system's Chromium.

    likebut serve GALLERY --port 8401 &     # two thousand images
    likebut serve THREE --port 8402 &       # three of them
    likebut serve NONE --port 8403 &        # none
    python tools/screenshots.py --reference NAME --text "in red" --out docs/images

Each is a palette PNG with as many colours as fit into 400 kB.
"""

import argparse
import io
import json
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
MAX_BYTES = 400_000
SIZES = {1440: 900, 390: 844}
TIMEOUT_MS = 120_000


@dataclass(frozen=True)
class Setup:
    """The servers with many, three and no images, and a search on the first."""

    many: str
    three: str
    none: str
    reference: str
    text: str

    def search(self, **further: str) -> str:
        query = {"image_id": self.reference, "text": self.text, **further}
        return f"{self.many}/?{urllib.parse.urlencode(query)}"


def results(page: Page, setup: Setup) -> None:
    page.goto(setup.search())
    wait_for_images(page)


def many(page: Page, setup: Setup) -> None:
    page.goto(setup.many)
    wait_for_images(page)


def three(page: Page, setup: Setup) -> None:
    page.goto(setup.three)
    wait_for_images(page)


def none(page: Page, setup: Setup) -> None:
    page.goto(setup.none)
    expect(page.locator("#state h1")).to_be_visible()


def error(page: Page, setup: Setup) -> None:
    page.route("**/v1/search", lambda route: route.abort())
    page.goto(setup.search())
    expect(page.locator("#state h1")).to_be_visible()


def detail(page: Page, setup: Setup) -> None:
    results(page, setup)
    page.locator(".tile .expand").first.click(force=True)
    page.locator("#detail img.large").evaluate("image => image.decode()")


def trail(page: Page, setup: Setup) -> None:
    """Three turns: a search, and two further changes of its first hit."""
    results(page, setup)
    for text in ("with long sleeves", "with a print"):
        title = page.locator("#summary").inner_text()
        page.locator(".tile .pick").first.click()
        expect(page.locator("#summary")).not_to_have_text(title)
        page.locator("#text").fill(text)
        page.locator("#text").press("Enter")
        expect(page.locator("#summary")).to_contain_text(text)
    page.mouse.move(0, 0)
    wait_for_images(page)


def filters(page: Page, setup: Setup) -> None:
    page.goto(setup.search(filter=json.dumps({"pattern": ["plain"]})))
    wait_for_images(page)
    page.locator("#filters-open").click()


STATES: tuple[Callable[[Page, Setup], None], ...] = (results, many, three, none, error, detail, trail, filters)


def wait_for_images(page: Page) -> None:
    expect(page.locator(".tile").first).to_be_visible()
    page.evaluate(
        """() => Promise.all([...document.querySelectorAll(".tile img, #top img")]
            .filter(image => image.getBoundingClientRect().top < innerHeight)
            .map(image => { image.loading = "eager"; return image.decode().catch(() => null); }))"""
    )


def small_png(content: bytes) -> bytes:
    """Return a palette PNG with as many colours as fit into :data:`MAX_BYTES`."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    for colours in (256, 192, 128, 96, 64, 48, 32):
        buffer = io.BytesIO()
        reduced = image.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        reduced.save(buffer, "PNG", optimize=True)
        if buffer.tell() < MAX_BYTES:
            return buffer.getvalue()
    raise SystemExit("The image is too large with 32 colours.")


def take(browser: Browser, setup: Setup, folder: Path, only: list[str]) -> None:
    for state in STATES:
        for width, height in SIZES.items():
            for scheme in ("light", "dark"):
                name = f"page-{state.__name__}-{width}-{scheme}.png"
                if only and not any(each in name for each in only):
                    continue
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,
                    reduced_motion="reduce",
                    has_touch=width < 600,
                    is_mobile=width < 600,
                )
                context.set_default_timeout(TIMEOUT_MS)
                page = context.new_page()
                state(page, setup)
                (folder / name).write_bytes(small_png(page.screenshot()))
                print(name, (folder / name).stat().st_size, flush=True)
                context.close()


def image_named(server: str, name: str) -> str:
    query = urllib.parse.urlencode({"filter": json.dumps({"path": {"contains": name}})})
    with urllib.request.urlopen(f"{server}/v1/images?{query}") as response:
        found = json.load(response)["images"]
    if not found:
        raise SystemExit(f"The gallery has no image {name}.")
    return str(found[0]["id"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", default="http://127.0.0.1:8401")
    parser.add_argument("--three", default="http://127.0.0.1:8402")
    parser.add_argument("--none", default="http://127.0.0.1:8403")
    parser.add_argument("--reference", required=True, help="Part of the path of the reference image.")
    parser.add_argument("--text", required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", nargs="*", default=[], help="Parts of the names to take; all by default.")
    options = parser.parse_args()
    reference = image_named(options.many, options.reference)
    setup = Setup(options.many, options.three, options.none, reference, options.text)
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            timeout=TIMEOUT_MS,
        )
        take(browser, setup, options.out, options.only)
        browser.close()


if __name__ == "__main__":
    main()
