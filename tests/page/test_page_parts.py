"""The parts of the page, one by one: details, balance, keyboard, dropping."""

import json

from page_driver import IDS, STRANGE, Visitor
from playwright.sync_api import expect


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
    assert json.loads(dict(visitor.query())["filter"]) == {"tags": ["plain"]}

    page.get_by_role("button", name="Details of blue.png").click(force=True)
    page.get_by_role("button", name="Add as another reference").click()
    visitor.expect_title("Like this, but blue")
    page.locator(".tile").first.hover()
    page.locator(".tile .expand").first.click()
    page.get_by_role("button", name="Add as another reference").click()
    visitor.expect_title("Like these, but blue")
    assert [name for name, _ in visitor.query()].count("image_id") == 2
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
    assert dict(visitor.query())["weight"] == "0"
    expect(balance).to_have_attribute("aria-valuetext", "more words, 0 % picture")
    page.get_by_label("without").fill("blue")
    page.get_by_label("without").press("Enter")
    visitor.expect_title("Like this, but blue, without blue")
    assert dict(visitor.query())["negative"] == "blue"


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
