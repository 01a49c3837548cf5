"""Pictures of the page's states for docs/images/, taken with the system's Chromium.

    likebut serve GALLERY --port 8401 &     # a couple of thousand photographs
    likebut serve THREE --port 8402 &       # three of them
    likebut serve NONE --port 8403 &        # none
    python tools/screenshots.py --reference NAME --text "in red" --out docs/images

Each is written with a palette, of as many colours as keep it below 400 kB.
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
MOST_BYTES = 400_000
SIZES = {1440: 900, 390: 844}
PATIENCE_MS = 120_000


@dataclass(frozen=True)
class Shown:
    """What is asked of the page: servers with many, three and no pictures, and a search of the first."""

    many: str
    three: str
    none: str
    reference: str
    text: str

    def search(self, **further: str) -> str:
        query = {"image_id": self.reference, "text": self.text, **further}
        return f"{self.many}/?{urllib.parse.urlencode(query)}"


def results(page: Page, shown: Shown) -> None:
    page.goto(shown.search())
    wait_for_pictures(page)


def many(page: Page, shown: Shown) -> None:
    page.goto(shown.many)
    wait_for_pictures(page)


def three(page: Page, shown: Shown) -> None:
    page.goto(shown.three)
    wait_for_pictures(page)


def none(page: Page, shown: Shown) -> None:
    page.goto(shown.none)
    expect(page.locator("#state h1")).to_be_visible()


def error(page: Page, shown: Shown) -> None:
    page.route("**/v1/search", lambda route: route.abort())
    page.goto(shown.search())
    expect(page.locator("#state h1")).to_be_visible()


def detail(page: Page, shown: Shown) -> None:
    results(page, shown)
    page.locator(".tile .expand").first.click(force=True)
    page.locator("#detail img.large").evaluate("image => image.decode()")


def trail(page: Page, shown: Shown) -> None:
    """Three turns: a change, a further one to the first hit, and the best of those."""
    results(page, shown)
    for text in ("with long sleeves", "with a print"):
        title = page.locator("#summary").inner_text()
        page.locator(".tile .pick").first.click()
        expect(page.locator("#summary")).not_to_have_text(title)
        page.locator("#text").fill(text)
        page.locator("#text").press("Enter")
        expect(page.locator("#summary")).to_contain_text(text)
    page.mouse.move(0, 0)
    wait_for_pictures(page)


def filters(page: Page, shown: Shown) -> None:
    page.goto(shown.search(filter=json.dumps({"pattern": ["plain"]})))
    wait_for_pictures(page)
    page.locator("#filters-open").click()


STATES: tuple[Callable[[Page, Shown], None], ...] = (results, many, three, none, error, detail, trail, filters)


def wait_for_pictures(page: Page) -> None:
    expect(page.locator(".tile").first).to_be_visible()
    page.evaluate(
        """() => Promise.all([...document.querySelectorAll(".tile img, #top img")]
            .filter(image => image.getBoundingClientRect().top < innerHeight)
            .map(image => { image.loading = "eager"; return image.decode().catch(() => null); }))"""
    )


def small_png(content: bytes) -> bytes:
    """Return a PNG of as many palette colours as keep it small enough."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    for colours in (256, 192, 128, 96, 64, 48, 32):
        buffer = io.BytesIO()
        few = picture.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(buffer, "PNG", optimize=True)
        if buffer.tell() < MOST_BYTES:
            return buffer.getvalue()
    raise SystemExit("The picture stays too large.")


def take(browser: Browser, shown: Shown, folder: Path, only: list[str]) -> None:
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
                context.set_default_timeout(PATIENCE_MS)
                page = context.new_page()
                state(page, shown)
                (folder / name).write_bytes(small_png(page.screenshot()))
                print(name, (folder / name).stat().st_size, flush=True)
                context.close()


def image_named(server: str, name: str) -> str:
    query = urllib.parse.urlencode({"filter": json.dumps({"path": {"contains": name}})})
    with urllib.request.urlopen(f"{server}/v1/images?{query}") as answer:
        found = json.load(answer)["images"]
    if not found:
        raise SystemExit(f"The gallery has no picture {name}.")
    return str(found[0]["id"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", default="http://127.0.0.1:8401")
    parser.add_argument("--three", default="http://127.0.0.1:8402")
    parser.add_argument("--none", default="http://127.0.0.1:8403")
    parser.add_argument("--reference", required=True, help="Part of the path of the picture to start from.")
    parser.add_argument("--text", required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", nargs="*", default=[], help="Parts of the names of those to take; else all.")
    options = parser.parse_args()
    reference = image_named(options.many, options.reference)
    shown = Shown(options.many, options.three, options.none, reference, options.text)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            timeout=PATIENCE_MS,
        )
        take(browser, shown, options.out, options.only)
        browser.close()


if __name__ == "__main__":
    main()
