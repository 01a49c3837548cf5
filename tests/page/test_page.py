"""The page, from end to end: a person searches, refines, goes back, shares, filters and meets errors."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from fake_retriever import FakeRetriever
from live_server import LiveServer
from page_driver import Visitor
from playwright.sync_api import Browser, expect
from pydantic import SecretStr
from server_samples import COLOURS, empty_gallery, filled_gallery, picture, stored

from likebut.gallery.fields import Field, FieldType
from likebut.gallery.pictures import content_id
from likebut.server.service import Service
from likebut.server.settings import ServerSettings

# In a browser a starved machine is slower than any patience a quick suite has.
pytestmark = pytest.mark.slow

IDS = {name: content_id(picture(colour)) for name, colour in COLOURS.items()}
STRANGE = picture((255, 40, 40))


def query(visitor: Visitor) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(visitor.page.url).query, keep_blank_values=True)


def test_from_an_uploaded_picture_to_a_shared_search(visitor: Visitor, browser: Browser) -> None:
    page = visitor.page
    visitor.open()
    visitor.expect_title("8 pictures")
    expect(visitor.steps).to_have_count(1)
    expect(page.locator("#trail")).to_be_hidden()

    visitor.upload("holiday.png", STRANGE)
    visitor.expect_title("Like this")
    visitor.expect_names("red")
    expect(page.locator("#note")).to_contain_text("“holiday.png” is only in this browser")
    expect(visitor.words).to_be_focused()

    visitor.say("blue")
    visitor.expect_title("Like this, but blue")
    visitor.expect_names("purple", "blue")
    expect(visitor.steps).to_have_count(1)
    assert query(visitor) == [("upload", "holiday.png"), ("text", "blue")]

    visitor.tile("purple").click()
    visitor.expect_title("Like this")
    expect(visitor.steps).to_have_count(2)
    visitor.say("white")
    visitor.expect_title("Like this, but white")
    visitor.expect_names("white")
    expect(visitor.steps.nth(1)).to_have_attribute("aria-current", "step")
    expect(visitor.steps.nth(1)).to_contain_text("white")

    visitor.steps.nth(0).click()
    visitor.expect_title("Like this, but blue")
    visitor.expect_names("purple", "blue")
    expect(visitor.steps).to_have_count(2)
    page.go_back()
    visitor.expect_title("Like this, but white")

    page.get_by_role("button", name="Share").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("A link cannot carry your picture")
    dialog.get_by_role("button", name="Add it to the gallery and share").click()
    link = dialog.get_by_role("textbox", name="Link to this search")
    expect(link).to_have_value(re.compile("then="))
    assert link.input_value() == page.url
    added = content_id(STRANGE)
    assert query(visitor) == [
        ("image_id", added),
        ("text", "blue"),
        ("then", ""),
        ("image_id", IDS["purple"]),
        ("text", "white"),
    ]

    other = browser.new_context().new_page()
    other.goto(link.input_value())
    expect(other.locator("#summary")).to_have_text("Like this, but white")
    expect(other.locator("#trail .step")).to_have_count(2)
    expect(other.locator(".tile .pick").first).to_have_attribute("aria-label", "More like this, but…: white.png")
    expect(other.locator("#references .reference")).to_have_count(1)
    other.context.close()


def test_filters_are_built_from_the_types_and_kept_in_the_address(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open()
    page.get_by_role("button", name="Filters").click()
    panel = page.get_by_role("complementary", name="Filters")
    panel.get_by_label("price from").fill("11")
    panel.get_by_label("price to").fill("14")
    visitor.expect_title("4 pictures match the filters")
    panel.get_by_role("radio", name="yes").check(force=True)
    visitor.expect_title("2 pictures match the filters")
    visitor.expect_names("blue", "black")
    panel.get_by_role("checkbox", name="blue").first.check()
    visitor.expect_title("1 picture matches the filters")
    assert json.loads(dict(query(visitor))["filter"]) == {
        "price": {">=": 11, "<=": 14},
        "kids": True,
        "colour": ["blue"],
    }
    expect(page.locator("#chips .chip")).to_have_count(3)
    visitor.say("red")
    visitor.expect_title("“red”")
    visitor.expect_names("blue")
    expect(visitor.tiles).to_have_count(1)

    page.get_by_role("button", name="Remove the filter colour: blue").click()
    expect(visitor.tiles).to_have_count(2)
    panel.get_by_label("price from").fill("100")
    panel.get_by_label("price to").fill("")
    expect(page.locator("#state")).to_contain_text("Nothing found")
    page.get_by_role("button", name="Clear the filters").click()
    expect(visitor.tiles).to_have_count(8)


def test_errors_say_what_to_do(visitor: Visitor) -> None:
    page = visitor.page
    visitor.expected_failures = True
    visitor.open()
    visitor.upload("letter.png", b"this is no picture")
    state = page.locator("#state")
    expect(state).to_contain_text("The file is not an image that can be read.")
    expect(state.get_by_role("button", name="Choose another picture")).to_be_visible()

    visitor.open(f"/?image_id={'0' * 64}&text=red")
    expect(state).to_contain_text("The gallery has no image")
    state.get_by_role("button", name="Start over").click()
    visitor.expect_title("8 pictures")

    visitor.open('/?text=red&filter={"size":"XL"}')
    expect(state).to_contain_text('The gallery has no field "size"')
    state.get_by_role("button", name="Clear the filters").click()
    visitor.expect_names("red")

    visitor.open("/?upload=holiday.png&text=blue")
    expect(state).to_contain_text("“holiday.png”, which is not in the gallery")
    with page.expect_file_chooser() as chooser:
        state.get_by_role("button", name="Choose the picture").click()
    chooser.value.set_files([{"name": "holiday.png", "mimeType": "image/png", "buffer": STRANGE}])
    visitor.expect_title("Like this, but blue")

    page.route("**/v1/search", lambda route: route.abort())
    visitor.say("green")
    expect(state).to_contain_text("The server does not answer.")
    page.unroute("**/v1/search")
    state.get_by_role("button", name="Try again").click()
    visitor.expect_title("Like this, but green")


def test_a_busy_server_is_asked_again(visitor: Visitor) -> None:
    visitor.expected_failures = True
    refusals = iter([429, 429])

    def refuse_twice(route: object) -> None:
        if next(refusals, None):
            route.fulfill(status=429, headers={"Retry-After": "0"}, body="{}")  # type: ignore[attr-defined]
        else:
            route.continue_()  # type: ignore[attr-defined]

    visitor.page.route("**/v1/search", refuse_twice)
    visitor.open("/?text=green")
    visitor.expect_names("green")


def test_details_and_what_can_be_done_from_there(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("/?text=blue")
    visitor.expect_names("blue")
    visitor.tile("blue").hover()
    page.get_by_role("button", name="Details of blue.png").click()
    detail = page.get_by_role("dialog", name="blue.png")
    expect(detail.locator(".scores")).to_contain_text("Rank1")
    expect(detail.locator(".metadata")).to_contain_text("48 × 64 pixels")
    assert detail.locator("img.large").evaluate("image => image.decode().then(() => image.naturalWidth)") == 48

    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog").locator(".scores")).to_contain_text("Rank2")
    page.keyboard.press("ArrowLeft")
    detail.get_by_role("button", name="plain").click()
    expect(page.locator("#chips .chip")).to_have_text("tags: plain")
    assert json.loads(dict(query(visitor))["filter"]) == {"tags": ["plain"]}

    page.get_by_role("button", name="Details of blue.png").click(force=True)
    page.get_by_role("button", name="Add as another reference").click()
    visitor.expect_title("Like this, but blue")
    page.locator(".tile").first.hover()
    page.locator(".tile .expand").first.click()
    page.get_by_role("button", name="Add as another reference").click()
    visitor.expect_title("Like these, but blue")
    assert [name for name, _ in query(visitor)].count("image_id") == 2
    page.get_by_role("button", name="Remove reference 2").click()
    visitor.expect_title("Like this, but blue")


def test_deleting_asks_once_more(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open()
    page.get_by_role("button", name="Details of red.png").click(force=True)
    page.get_by_role("button", name="Delete…").click()
    assert len(visitor.server.service.gallery) == 8
    page.get_by_role("button", name="Really delete from the gallery?").click()
    visitor.expect_title("7 pictures")
    expect(visitor.tile("red")).to_have_count(0)


def test_the_balance_and_the_negative_text(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open(f"/?image_id={IDS['red']}&text=blue")
    visitor.expect_names("purple", "blue")
    balance = page.get_by_label("Balance")
    balance.fill("0")
    visitor.expect_names("blue")
    assert dict(query(visitor))["weight"] == "0"
    expect(balance).to_have_attribute("aria-valuetext", "more words, 0 % picture")
    page.get_by_label("without").fill("blue")
    page.get_by_label("without").press("Enter")
    visitor.expect_title("Like this, but blue, without blue")
    assert dict(query(visitor))["negative"] == "blue"


def test_everything_by_keyboard(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open()
    visitor.expect_names("red", "green")
    page.keyboard.press("/")
    expect(visitor.words).to_be_focused()
    visitor.say("white")
    visitor.expect_names("white")
    expect(page.locator("#announcement")).to_have_text("8 pictures")
    page.locator(".tile .pick").first.focus()
    page.keyboard.press("ArrowRight")
    second = page.locator(".tile .pick").nth(1)
    expect(second).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator(".tile .pick").last).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("i")
    expect(page.get_by_role("dialog", name="white.png")).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    expect(second).to_be_focused()
    page.keyboard.press("Enter")
    visitor.expect_title("Like this")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="How to search")).to_be_visible()


def test_dropping_and_pasting_a_picture(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open()
    visitor.expect_title("8 pictures")
    transfer = page.evaluate_handle(
        """bytes => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
            return transfer;
        }""",
        list(STRANGE),
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    expect(page.locator(".zone").first).to_have_text("Start from this picture")
    page.dispatch_event(".zone:first-child", "drop", {"dataTransfer": transfer})
    visitor.expect_title("Like this")
    expect(page.locator("#note")).to_contain_text("dropped.png")
    page.evaluate(
        """transfer => dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, cancelable: true }))""",
        transfer,
    )
    expect(visitor.steps).to_have_count(1)
    expect(page.locator("#references .reference")).to_have_count(1)


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
        visiting.check_nothing_odd_happened()


def test_html_in_texts_and_metadata_is_shown_as_text(hostile_visitor: Visitor) -> None:
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


def test_an_empty_gallery_says_how_to_fill_it(browser: Browser, tmp_path: Path) -> None:
    gallery = empty_gallery(tmp_path / "gallery")
    with LiveServer(Service(gallery, ServerSettings(uploads=tmp_path / "uploads"))) as server:
        context = browser.new_context()
        visitor = Visitor(context.new_page(), server)
        visitor.open()
        expect(visitor.page.locator("#state")).to_contain_text("This gallery is empty")
        expect(visitor.page.locator("#state pre")).to_have_text(f"likebut index FOLDER --gallery {gallery.name}")
        with visitor.page.expect_file_chooser() as chooser:
            visitor.page.get_by_role("button", name="Add pictures").click()
        chooser.value.set_files(
            [{"name": f"{n}.png", "mimeType": "image/png", "buffer": picture((n, 40 * n, 200))} for n in range(6)]
        )
        visitor.expect_title("6 pictures")
        expect(visitor.tiles).to_have_count(6)
        context.close()
        visitor.check_nothing_odd_happened()


def test_the_token_is_asked_for_once(browser: Browser) -> None:
    settings = ServerSettings(token=SecretStr("correct-horse-battery"))
    with LiveServer(Service(filled_gallery(), settings)) as server:
        context = browser.new_context()
        visitor = Visitor(context.new_page(), server)
        visitor.expected_failures = True
        visitor.open("/?text=red")
        field = visitor.page.get_by_role("textbox", name="Token")
        field.fill("wrong-horse-battery")
        field.press("Enter")
        expect(visitor.page.get_by_role("alert")).to_contain_text("This is not the token.")
        field.fill("correct-horse-battery")
        field.press("Enter")
        visitor.expect_names("red")
        assert visitor.tiles.first.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)")
        visitor.page.reload()
        visitor.expect_names("red")
        context.close()
        visitor.check_nothing_odd_happened()


def test_long_galleries_are_shown_page_after_page(browser: Browser, tmp_path: Path) -> None:
    retriever = FakeRetriever()
    gallery = filled_gallery(retriever)
    for number in range(100):
        gallery.store.put([stored(picture((number, 2 * number, 30)), retriever, f"/pictures/{number}.png")])
    with LiveServer(Service(gallery, ServerSettings())) as server:
        context = browser.new_context(viewport={"width": 390, "height": 844})
        visitor = Visitor(context.new_page(), server)
        visitor.open()
        visitor.expect_title("108 pictures")
        for _ in range(20):
            visitor.page.mouse.wheel(0, 4000)
            visitor.page.wait_for_timeout(50)
            if visitor.tiles.count() == 108:
                break
        expect(visitor.tiles).to_have_count(108)
        ids = visitor.tiles.evaluate_all("tiles => tiles.map(tile => tile.dataset.id)")
        assert len(set(ids)) == 108
        context.close()
        visitor.check_nothing_odd_happened()
