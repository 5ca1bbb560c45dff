"""The Edit tab as a person uses it: stepped, marked, retaken, compared, undone, painted on, and looked at on a phone."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import Browser, Page, Route, expect

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
    expect(page.locator(f'.take[aria-current="true"][data-clip="{clip["id"]}"]')).to_be_visible()
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


def test_an_answer_that_was_overtaken_is_not_shown(visitor: Visitor) -> None:
    clip = visitor.make_clip("a yellow ball rolls on sand")
    page = edit(visitor, clip)
    expect(page.locator(".edit-notices")).to_contain_text("Makes a clip of 2.08 s")
    held: list[Route] = []
    page.route("**/edits/plan", lambda route: route.continue_() if held else held.append(route))
    page.locator(".edit-tools").get_by_role("button", name="Extend", exact=True).click()
    page.wait_for_timeout(400)  # the question is on its way, and its answer late
    page.locator(".edit-tools").get_by_role("button", name="Speed", exact=True).click()
    expect(page.locator(".edit-notices")).to_contain_text("Makes a clip of 1.00 s")
    with page.expect_response("**/edits/plan"):
        held[0].continue_()
    page.wait_for_timeout(200)
    expect(page.locator(".edit-notices")).to_contain_text("Makes a clip of 1.00 s")


def test_a_take_that_ends_leaves_who_went_on_where_they_are(visitor: Visitor) -> None:
    first, second = visitor.make_clip("a red star spins at night"), visitor.make_clip("a blue cube falls on snow")
    page = edit(visitor, first)
    page.locator("#make-take").click()
    expect(page.locator(".edit-panel [role=progressbar]")).to_be_visible()
    edit(visitor, second)
    told = page.locator(".toast", has_text="The take of “a red star spins at night” is finished.")
    expect(told).to_be_visible(timeout=DONE_MS)
    expect(page.locator(f'.take[aria-current="true"][data-clip="{second["id"]}"]')).to_be_visible()
    told.get_by_role("button", name="Show it").click()
    expect(page.locator(f'.take[aria-current="false"][data-clip="{first["id"]}"]')).to_be_visible()


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
    stroke(page)
    page.get_by_role("button", name="Keep this frame").click()
    expect(page.locator(".kept")).to_have_count(1)
    page.get_by_label("is followed").fill("0.6")
    page.get_by_label("is followed").press("Tab")
    take = make_take(visitor)
    (kept,) = take["request"]["edit"]["keyframes"]
    assert take["request"]["edit"]["kind"] == "keyframes" and kept["strength"] == 0.6


def stroke(page: Page, down: int = 30) -> None:
    """Draw over the middle of the picture."""
    box = page.locator(".paper").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 - 20, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2 + down, steps=6)
    page.mouse.up()


def painted(page: Page) -> int:
    """How many pixels of the sheet over the picture are painted."""
    return page.evaluate(
        """() => {
            const { width, height } = document.querySelector('.paper'), ink = document.querySelector('.paper').getContext('2d');
            return ink.getImageData(0, 0, width, height).data.filter((value, at) => at % 4 === 3 && value > 0).length;
        }"""
    )


def test_layers_are_painted_hidden_undone_and_taken_away(visitor: Visitor) -> None:
    page = edit(visitor, visitor.make_clip("a green cube stands on snow"))
    page.get_by_role("button", name="Paint a frame").click()
    stroke(page)
    first = painted(page)
    page.get_by_role("button", name="Add a layer").click()
    expect(page.get_by_role("button", name="Layer 2", exact=True)).to_have_attribute("aria-pressed", "true")
    stroke(page, down=-60)
    both = painted(page)
    visitor.photograph("edit-layers")
    assert both > first > 0
    page.get_by_role("button", name="Hide Layer 2").click()
    assert painted(page) == first
    page.get_by_role("button", name="Show Layer 2").click()
    page.get_by_role("button", name="Undo a stroke").click()
    assert painted(page) == first
    picture = page.screenshot(clip={"x": 0, "y": 0, "width": 64, "height": 64})
    page.get_by_label("Put an image on a layer of its own").set_input_files(
        {"name": "logo.png", "mimeType": "image/png", "buffer": picture}
    )
    expect(page.get_by_role("button", name="logo.png", exact=True)).to_be_visible()
    assert painted(page) == 128 * 128
    page.get_by_role("button", name="Take logo.png away").click()
    assert painted(page) == first


def test_a_region_moves_from_its_first_mask_to_its_last(visitor: Visitor) -> None:
    page = edit(visitor, visitor.make_clip("a red ball rolls over grass"))
    page.get_by_role("button", name="Region", exact=True).click()
    expect(page.locator("#make-take")).to_be_disabled()
    stroke(page)
    page.get_by_role("button", name="Keep this mask").click()
    page.get_by_role("button", name="Clear", exact=True).click()
    stroke(page, down=-60)
    page.get_by_role("button", name="Keep it for the end").click()
    expect(page.get_by_role("button", name="Mask at the end", exact=True)).to_be_visible()
    take = make_take(visitor)
    made = take["request"]["edit"]
    assert made["kind"] == "region" and made["mask"] != made["end_mask"] and made["change"] == 1


def test_the_other_tools_make_what_they_say(visitor: Visitor) -> None:
    clip = visitor.make_clip("a red ball bounces on grass")
    second = visitor.make_clip("a blue star drifts over the sea")
    for tool, fields, kind, seconds in (
        ("Extend", {"seconds": "0.5"}, "extend", 2.58),
        ("Loop", {}, "loop", 2.08),
        ("Visualise", {}, "visualise", 2.08),
        ("Speed", {"factor": "2"}, "speed", 1.0),
        ("Shift", {"offset": "0.2"}, "shift-sound", 2.08),
        ("Join", {"transition": "0"}, "join", 4.17),
    ):
        page = edit(visitor, clip)
        page.get_by_role("navigation", name="Tools").get_by_role("button", name=tool, exact=True).click()
        for name, value in fields.items():
            page.locator(f'.edit-panel input[name="{name}"]').fill(value)
        if tool == "Join":
            page.locator('.edit-panel select[name="other"]').select_option(second["id"])
        expect(page.locator(".edit-notices")).to_contain_text(f"Makes a clip of {seconds:.2f} s")
        take = make_take(visitor)
        assert take["request"]["edit"]["kind"] == kind and abs(take["duration_s"] - seconds) < 0.1


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
