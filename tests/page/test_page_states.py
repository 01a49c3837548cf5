"""The page on galleries that are empty, long, hostile or protected by a token."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from pydantic import SecretStr

from helpers.fake_retriever import FakeRetriever
from helpers.live_server import LiveServer
from helpers.page_driver import Visitor
from helpers.server_samples import empty_gallery, filled_gallery, picture, stored
from likebut.gallery.fields import Field, FieldType
from likebut.server.service import Service
from likebut.server.settings import ServerSettings

HOSTILE_NAME = "<img src=x onerror=window.hacked=1>.png"
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


@pytest.fixture
def hostile_visitor(browser: Browser, tmp_path: Path) -> Iterator[Visitor]:
    gallery = filled_gallery()
    note = Field(f"note {HOSTILE}", FieldType.TEXT)
    label = Field("label", FieldType.LABELS)
    gallery.store.add_fields((note, label))
    metadata = {note.name: HOSTILE, "label": (HOSTILE, "javascript:window.hacked=1")}
    gallery.store.put([stored(picture((250, 90, 90)), gallery.retriever, f"/pictures/{HOSTILE_NAME}", metadata)])
    with LiveServer(Service(gallery, ServerSettings(uploads=tmp_path / "uploads"))) as server:
        context = browser.new_context()
        visiting = Visitor(context.new_page(), server)
        yield visiting
        assert visiting.page.evaluate("window.hacked") is None
        context.close()
        visiting.require_no_errors()


def test_html_is_escaped(hostile_visitor: Visitor) -> None:
    visitor, page = hostile_visitor, hostile_visitor.page
    visitor.open()
    visitor.say(f"red {HOSTILE}")
    visitor.expect_title(f"“red {HOSTILE}”")
    page.get_by_label("without").fill(HOSTILE)
    page.get_by_label("without").press("Enter")
    expect(visitor.steps.first).to_contain_text(HOSTILE)
    page.get_by_role("button", name="Filters").click()
    expect(page.locator("#filters")).to_contain_text(f"note {HOSTILE}", ignore_case=True)
    expect(page.locator("#filters .value", has_text=HOSTILE).first).to_be_visible()
    page.locator("#filters .choices label", has_text=HOSTILE).first.click()
    expect(page.locator("#chips .chip").first).to_contain_text(HOSTILE)
    expect(visitor.tiles).to_have_count(1)
    page.locator(".tile .expand").first.click(force=True)
    expect(page.locator("#detail .metadata")).to_contain_text(HOSTILE)
    expect(page.locator("#detail-title")).to_have_text(HOSTILE_NAME)
    assert page.locator("#detail script, #grid script, #filters script, img[src='x']").count() == 0
    page.keyboard.press("Escape")
    visitor.open(f"/?text=red&upload={HOSTILE.replace('/', '%2F')}")
    expect(page.locator("#state")).to_contain_text(HOSTILE)


def test_empty_gallery(browser: Browser, tmp_path: Path) -> None:
    gallery = empty_gallery(tmp_path / "gallery")
    with LiveServer(Service(gallery, ServerSettings(uploads=tmp_path / "uploads"))) as server:
        context = browser.new_context()
        visitor = Visitor(context.new_page(), server)
        visitor.open()
        expect(visitor.page.locator("#state pre")).to_have_text(f"likebut index FOLDER --gallery {gallery.name}")
        with visitor.page.expect_file_chooser() as chooser:
            visitor.page.get_by_role("button", name="Add images").click()
        chooser.value.set_files(
            [{"name": f"{n}.png", "mimeType": "image/png", "buffer": picture((n, 40 * n, 200))} for n in range(6)]
        )
        visitor.expect_title("6 images")
        expect(visitor.tiles).to_have_count(6)
        context.close()
        visitor.require_no_errors()


def test_token_prompt(browser: Browser) -> None:
    settings = ServerSettings(token=SecretStr("correct-horse-battery"))
    with LiveServer(Service(filled_gallery(), settings)) as server:
        context = browser.new_context()
        visitor = Visitor(context.new_page(), server)
        visitor.expected_failures = True
        visitor.open("/?text=red")
        field = visitor.page.get_by_role("textbox", name="Token")
        for _ in range(3):
            visitor.page.keyboard.press("Escape")
        expect(field).to_be_visible()
        field.fill("wrong-horse-battery")
        field.press("Enter")
        expect(visitor.page.get_by_role("alert")).not_to_be_empty()
        field.fill("correct-horse-battery")
        field.press("Enter")
        visitor.expect_names("red")
        assert visitor.tiles.first.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)")
        visitor.page.get_by_role("button", name="Help and keyboard shortcuts").click()
        visitor.page.keyboard.press("Escape")
        expect(visitor.page.locator("#message")).to_be_hidden()
        visitor.page.reload()
        visitor.expect_names("red")
        context.close()
        visitor.require_no_errors()


def test_infinite_scroll(browser: Browser, tmp_path: Path) -> None:
    retriever = FakeRetriever()
    gallery = filled_gallery(retriever)
    for number in range(100):
        gallery.store.put([stored(picture((number, 2 * number, 30)), retriever, f"/pictures/{number}.png")])
    with LiveServer(Service(gallery, ServerSettings())) as server:
        context = browser.new_context(viewport={"width": 390, "height": 844})
        visitor = Visitor(context.new_page(), server)
        visitor.open()
        visitor.expect_title("108 images")
        while (shown := visitor.tiles.count()) < 108:
            visitor.page.mouse.wheel(0, 100_000)
            expect(visitor.tiles.nth(shown)).to_be_attached()
        expect(visitor.tiles).to_have_count(108)
        ids = visitor.tiles.evaluate_all("tiles => tiles.map(tile => tile.dataset.id)")
        assert len(set(ids)) == 108
        context.close()
        visitor.require_no_errors()


def test_missing_reference_images_are_replaced_one_by_one(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("/?upload=a.png&upload=b.png&text=blue")
    for name, colour in (("a.png", (250, 0, 0)), ("b.png", (0, 250, 0))):
        expect(page.locator("#state h1")).to_contain_text(f"“{name}”")
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose the image").click()
        chooser.value.set_files([{"name": name, "mimeType": "image/png", "buffer": picture(colour)}])
    visitor.expect_title("Like these, but blue")
    assert visitor.query()[:2] == [("upload", "a.png"), ("upload", "b.png")]


def test_damaged_image_does_not_block_the_others(browser: Browser, tmp_path: Path) -> None:
    with LiveServer(Service(empty_gallery(tmp_path / "gallery"), ServerSettings(uploads=tmp_path / "up"))) as server:
        context = browser.new_context()
        visitor = Visitor(context.new_page(), server)
        visitor.expected_failures = True
        visitor.open()
        files = [(f"{n}.png", picture((n, 40 * n, 200)) if n != 5 else b"damaged") for n in range(7)]
        transfer = visitor.page.evaluate_handle(
            """files => {
                const transfer = new DataTransfer();
                for (const [name, bytes] of files) {
                    transfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
                }
                return transfer;
            }""",
            [[name, list(content)] for name, content in files],
        )
        # An empty gallery has nothing to search: files dropped anywhere are added.
        visitor.page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
        expect(visitor.page.locator(".zone")).to_have_text("Add to the gallery")
        visitor.page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
        visitor.expect_title("6 images")
        expect(visitor.tiles).to_have_count(6)
        expect(visitor.page.locator("#state")).to_contain_text("image")
        context.close()
        visitor.require_no_errors()
