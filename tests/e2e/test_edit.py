"""The Edit tab as a person uses it: stepped, marked, retaken, compared, undone, painted on, and looked at on a phone."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.server import ROOT, Server
from tests.e2e.visitor import DONE_MS, Visitor

SCREENSHOTS = ROOT / "docs" / "screenshots"


def edit(visitor: Visitor, clip: dict) -> Page:
    """The clip in the Edit tab, by the button beside it in the library."""
    page = visitor.page
    visitor.open_library()
    page.locator(f'.clip[data-clip="{clip["id"]}"]').get_by_role("button", name="Open clip").click()
    page.get_by_role("button", name="Edit the clip").click()
    expect(page.locator(".edit-desk")).to_be_visible()
    expect(page.get_by_role("tab", name="Edit")).to_have_attribute("aria-selected", "true")
    page.wait_for_function("() => document.querySelector('.edit video').readyState >= 2")
    return page


def make_take(visitor: Visitor) -> dict:
    """Press Make it and wait until the new take is shown."""
    page = visitor.page
    expect(page.locator("#make-take")).to_be_enabled()
    before = page.locator('.take[aria-current="true"]').get_attribute("data-clip")
    page.locator("#make-take").click()
    expect(page.locator(f'.take[aria-current="true"]:not([data-clip="{before}"])')).to_be_visible(timeout=DONE_MS)
    return visitor.api(f"/clips/{page.locator('.take[aria-current=true]').get_attribute('data-clip')}")


def test_a_range_is_marked_retaken_compared_and_undone(visitor: Visitor) -> None:
    clip = visitor.make_clip("a red ball bounces on grass")
    page = edit(visitor, clip)
    axis = page.get_by_role("slider", name="Frame", exact=True)
    axis.focus()
    page.keyboard.press("Home")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    expect(axis).to_have_attribute("aria-valuenow", "6")
    page.keyboard.press("i")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("o")
    expect(page.locator(".edit-controls")).to_contain_text("0.50 s – 1.00 s")
    page.locator(".edit textarea").fill("a red ball stands still on grass, silence")
    page.locator('.edit input[name="seed"]').fill("9")
    expect(page.locator(".edit-notices")).to_contain_text("Makes a clip of 2.08 s")
    take = make_take(visitor)
    assert take["request"]["edit"] == {"kind": "retake", "start_s": 0.5, "end_s": 1.0, "part": "both"}
    assert take["request"]["seed"] == 9 and take["request"]["source"] == f"clip:{clip['id']}"
    expect(page.locator(".take")).to_have_count(2)
    page.get_by_role("button", name="Before", exact=True).click()
    expect(page.locator(".edit .badge")).to_be_visible()
    page.get_by_role("button", name="Before", exact=True).click()
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.locator(f'.take[aria-current="true"][data-clip="{clip["id"]}"]')).to_be_visible()
    page.get_by_role("button", name="Redo", exact=True).click()
    expect(page.locator(f'.take[aria-current="true"][data-clip="{take["id"]}"]')).to_be_visible()


def test_frames_are_stepped_exactly(visitor: Visitor) -> None:
    clip = visitor.make_clip("a blue star drifts over the sea")
    page = edit(visitor, clip)
    axis = page.get_by_role("slider", name="Frame", exact=True)
    axis.focus()
    page.keyboard.press("Home")
    for frame in range(1, 8):
        page.get_by_role("button", name="One frame on").click()
        page.wait_for_function("() => !document.querySelector('.edit video').seeking")
        moment = page.evaluate("() => document.querySelector('.edit video').currentTime")
        assert int(moment * clip["frame_rate"]) == frame
        expect(page.locator(".edit-controls")).to_contain_text(f"frame {frame} of")


def test_a_painted_frame_is_followed(visitor: Visitor) -> None:
    clip = visitor.make_clip("a green cube stands on snow")
    page = edit(visitor, clip)
    page.get_by_role("button", name="Paint a frame").click()
    expect(page.locator("#make-take")).to_be_disabled()
    box = page.locator(".paper").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 - 20, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2 + 30, steps=6)
    page.mouse.up()
    page.get_by_role("button", name="Keep this frame").click()
    expect(page.locator(".kept")).to_have_count(1)
    take = make_take(visitor)
    assert take["request"]["edit"]["kind"] == "keyframes" and len(take["request"]["edit"]["keyframes"]) == 1


def test_what_cannot_be_done_is_said_before_it_is_asked_for(visitor: Visitor) -> None:
    clip = visitor.make_clip("a yellow ring on sand")
    visitor.expected = ("status of 422",)
    page = edit(visitor, clip)
    page.get_by_role("button", name="Crop", exact=True).click()
    page.locator('.edit input[name="width"]').fill("9000")
    expect(page.locator(".edit-notices .bad")).to_contain_text("the picture has 128x128")
    expect(page.locator("#make-take")).to_be_disabled()
    page.get_by_role("button", name="Trim", exact=True).click()
    take = make_take(visitor)
    assert take["request"]["edit"]["kind"] == "trim"


@pytest.mark.parametrize(("colours", "width", "height"), [("dark", 1440, 900), ("light", 1440, 900), ("dark", 390, 844)])
def test_pictures_of_the_tab(browser: Browser, server: Server, colours: str, width: int, height: int) -> None:
    person = Visitor(browser, server.url, width=width, height=height, colours=colours)
    clip = person.make_clip("a red ball bounces on grass")
    page = edit(person, clip)
    page.wait_for_timeout(800)
    assert not person.overflows()
    if os.environ.get("STUDIO_SCREENSHOTS"):
        kind = "phone" if width < 800 else "desktop"
        page.screenshot(path=SCREENSHOTS / f"edit-{kind}-{colours}.png")
    person.leave()
