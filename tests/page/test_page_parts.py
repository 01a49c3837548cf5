"""Components of the page: details, balance, keyboard, drag and drop."""

import json

from playwright.sync_api import expect

from helpers.page_driver import IDS, STRANGE, Visitor


def test_detail_dialog(visitor: Visitor) -> None:
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


def test_delete_requires_confirmation(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open()
    page.get_by_role("button", name="Details of red.png").click(force=True)
    page.get_by_role("button", name="Delete…").click()
    assert len(visitor.server.service.gallery) == 8
    page.get_by_role("button", name="Confirm: delete from the gallery").click()
    visitor.expect_title("7 images")
    expect(visitor.tile("red")).to_have_count(0)


def test_balance_and_negative_text(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open(f"/?image_id={IDS['red']}&text=blue")
    visitor.expect_names("purple", "blue")
    balance = page.get_by_label("Balance")
    balance.fill("0")
    visitor.expect_names("blue")
    assert dict(visitor.query())["weight"] == "0"
    expect(balance).to_have_attribute("aria-valuetext", "more text, 0 % image")
    page.get_by_label("without").fill("blue")
    page.get_by_label("without").press("Enter")
    visitor.expect_title("Like this, but blue, without blue")
    assert dict(visitor.query())["negative"] == "blue"


def test_keyboard(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open()
    visitor.expect_names("red", "green")
    page.keyboard.press("/")
    expect(visitor.words).to_be_focused()
    visitor.say("white")
    visitor.expect_names("white")
    expect(page.locator("#announcement")).to_have_text("8 images")
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


def test_drop_and_paste(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open()
    visitor.expect_title("8 images")
    transfer = page.evaluate_handle(
        """bytes => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
            return transfer;
        }""",
        list(STRANGE),
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    expect(page.locator(".zone").first).to_have_text("Start from this image")
    page.dispatch_event(".zone:first-child", "drop", {"dataTransfer": transfer})
    visitor.expect_title("Like this")
    expect(page.locator("#note")).to_contain_text("dropped.png")
    page.evaluate(
        """transfer => dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, cancelable: true }))""",
        transfer,
    )
    expect(visitor.steps).to_have_count(1)
    expect(page.locator("#references .reference")).to_have_count(1)


def test_unsubmitted_text_is_kept(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("/?filter=" + '{"price":{">=":10}}')
    visitor.words.fill("in blue")
    page.get_by_role("button", name="Remove the filter").click()
    visitor.expect_title("8 images")
    expect(visitor.words).to_have_value("in blue")
    visitor.words.press("Enter")
    visitor.expect_title("“in blue”")
    # Another turn has its own text.
    visitor.words.fill("something else")
    visitor.tiles.first.locator(".pick").click()
    expect(visitor.words).to_have_value("")


def test_balance_changed_just_before_submitting(visitor: Visitor) -> None:
    visitor.open(f"/?image_id={IDS['red']}&text=blue")
    visitor.expect_title("Like this, but blue")
    visitor.page.locator("#weight").fill("0.2")
    visitor.say("green")
    visitor.expect_title("Like this, but green")
    visitor.page.wait_for_timeout(400)
    assert ("weight", "0.2") in visitor.query()


def test_skip_link_keeps_the_search(visitor: Visitor) -> None:
    visitor.open()
    visitor.upload("mine.png", STRANGE)
    visitor.expect_title("Like this")
    visitor.page.locator(".skip").focus()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("#results")).to_be_focused()
    visitor.expect_title("Like this")
    visitor.expect_names("red")


def test_focus_after_a_step_and_a_chip(visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("/?text=red&then=&text=blue&filter=" + '{"price":{">=":10}}')
    visitor.expect_title("“blue”")
    page.get_by_role("button", name="Remove the filter").press("Enter")
    expect(page.get_by_role("button", name="Filters")).to_be_focused()
    visitor.steps.first.press("Enter")
    visitor.expect_title("“red”")
    expect(visitor.steps.first).to_be_focused()


def test_chip_of_a_filter_without_a_control(visitor: Visitor) -> None:
    visitor.open('/?filter={"colour":[{"contains":"r"},{"contains":"e"}]}')
    expect(visitor.page.locator("#chips")).to_have_text("colour: contains r and contains e")


def test_clearing_filters_cancels_pending_changes(visitor: Visitor) -> None:
    visitor.open()
    visitor.page.get_by_role("button", name="Filters").click()
    panel = visitor.page.get_by_role("complementary", name="Filters")
    panel.get_by_label("price from").fill("12")
    panel.get_by_role("button", name="Clear").click()
    visitor.page.wait_for_timeout(600)
    visitor.expect_title("8 images")
    assert visitor.query() == []
