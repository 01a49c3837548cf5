"""The page end to end: search, refine, go back, share, filter, handle errors."""

import json
import re

from playwright.sync_api import Browser, expect

from helpers.page_driver import IDS, PATIENCE_MS, STRANGE, Visitor
from likebut.gallery.images import content_id


def test_upload_refine_and_share(visitor: Visitor, browser: Browser) -> None:
    page = visitor.page
    visitor.open()
    visitor.expect_title("8 images")
    expect(visitor.steps).to_have_count(1)
    expect(page.locator("#trail")).to_be_hidden()

    visitor.upload("holiday.png", STRANGE)
    visitor.expect_title("Like this")
    visitor.expect_names("red")
    expect(page.locator("#note")).to_contain_text("holiday.png")
    expect(visitor.words).to_be_focused()

    visitor.say("blue")
    visitor.expect_title("Like this, but blue")
    visitor.expect_names("purple", "blue")
    expect(visitor.steps).to_have_count(1)
    assert visitor.query() == [("upload", "holiday.png"), ("text", "blue")]

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
    expect(dialog).to_contain_text("holiday.png")
    dialog.get_by_role("button", name="Add it to the gallery and share").click()
    link = dialog.get_by_role("textbox", name="Link to this search")
    expect(link).to_have_value(re.compile("then="))
    assert link.input_value() == page.url
    added = content_id(STRANGE)
    assert visitor.query() == [
        ("image_id", added),
        ("text", "blue"),
        ("then", ""),
        ("image_id", IDS["purple"]),
        ("text", "white"),
    ]

    other = browser.new_context().new_page()
    other.set_default_timeout(PATIENCE_MS)
    other.goto(link.input_value())
    expect(other.locator("#summary")).to_have_text("Like this, but white")
    expect(other.locator("#trail .step")).to_have_count(2)
    expect(other.locator(".tile .pick").first).to_have_attribute("aria-label", "More like this, but…: white.png")
    expect(other.locator("#references .reference")).to_have_count(1)
    other.context.close()


def test_filters(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open()
    page.get_by_role("button", name="Filters").click()
    panel = page.get_by_role("complementary", name="Filters")
    panel.get_by_label("price from").fill("11")
    panel.get_by_label("price to").fill("14")
    visitor.expect_title("4 images match the filters")
    panel.get_by_role("radio", name="yes").check(force=True)
    visitor.expect_title("2 images match the filters")
    visitor.expect_names("blue", "black")
    panel.get_by_role("checkbox", name="blue").first.check()
    visitor.expect_title("1 image matches the filters")
    assert json.loads(dict(visitor.query())["filter"]) == {
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


def test_errors_offer_actions(visitor: Visitor) -> None:
    page = visitor.page
    visitor.expected_failures = True
    visitor.open()
    visitor.upload("letter.png", b"this is not an image")
    state = page.locator("#state")
    expect(state.get_by_role("button", name="Choose another image")).to_be_visible()

    visitor.open(f"/?image_id={'0' * 64}&text=red")
    expect(state).to_contain_text("0" * 64)
    state.get_by_role("button", name="Start over").click()
    visitor.expect_title("8 images")

    visitor.open('/?text=red&filter={"size":"XL"}')
    expect(state).to_contain_text("size")
    state.get_by_role("button", name="Clear the filters").click()
    visitor.expect_names("red")

    visitor.open("/?upload=holiday.png&text=blue")
    expect(state).to_contain_text("holiday.png")
    with page.expect_file_chooser() as chooser:
        state.get_by_role("button", name="Choose the image").click()
    chooser.value.set_files([{"name": "holiday.png", "mimeType": "image/png", "buffer": STRANGE}])
    visitor.expect_title("Like this, but blue")

    page.route("**/v1/search", lambda route: route.abort())
    visitor.say("green")
    expect(state.get_by_role("button", name="Try again")).to_be_visible()
    page.unroute("**/v1/search")
    state.get_by_role("button", name="Try again").click()
    visitor.expect_title("Like this, but green")


def test_busy_server_is_retried(visitor: Visitor) -> None:
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
