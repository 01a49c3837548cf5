"""Time to the first image in the page of a running server, in the system's Chromium.

    likebut serve GALLERY &
    python benchmarks/page.py http://127.0.0.1:8333

Opens links to searches, and enters further texts from there. Reports the median time until the first result's image is
drawn, from the start of the navigation and from the press of Enter.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import time
import urllib.request

from playwright.sync_api import Page, sync_playwright

TEXTS = ("in red", "with longer sleeves", "without a print", "in a lighter blue", "striped", "for children", "shorter")
# Resolves to the time, on the page's clock, of the frame after the first result's image has been decoded.
FIRST_IMAGE = """() => new Promise(done => {
    const look = async () => {
        const image = document.querySelector(".tile img");
        if (!image || image.closest("[data-seen]")) return requestAnimationFrame(look);
        await image.decode();
        document.querySelectorAll(".tile").forEach(tile => { tile.dataset.seen = ""; });
        requestAnimationFrame(() => done(performance.now()));
    };
    look();
})"""


def search(page: Page, text: str) -> float:
    """Enter a text, and return the milliseconds until the first image is drawn."""
    page.evaluate("addEventListener('keydown', event => { window.pressed = event.timeStamp; }, { capture: true })")
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")
    return float(page.evaluate(FIRST_IMAGE)) - float(page.evaluate("window.pressed"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="The server's address.")
    parser.add_argument("--times", type=int, default=10)
    options = parser.parse_args()
    with urllib.request.urlopen(f"{options.url}/v1/images?limit={options.times + 1}") as response:
        ids = [image["id"] for image in json.load(response)["images"]]
    chromium = shutil.which("chromium")
    opened, typed = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        for number, image_id in enumerate(ids):
            text = TEXTS[number % len(TEXTS)]
            page.goto(f"{options.url}/?image_id={image_id}&text={text}", wait_until="commit")
            opened.append(float(page.evaluate(FIRST_IMAGE)))
            page.wait_for_load_state("networkidle")  # as if the user were typing
            typed.append(search(page, TEXTS[(number + 1) % len(TEXTS)]))
        browser.close()
    results = {
        "date": time.strftime("%Y-%m-%d"),
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        # Without the first call, which includes warm-up.
        "link_to_first_picture_ms": round(statistics.median(opened[1:])),
        "enter_to_first_picture_ms": round(statistics.median(typed[1:])),
    }
    print(json.dumps(results))


if __name__ == "__main__":
    main()
