"""The drift guard as a person meets it: an edit that joins badly is told, mended by its colour, and rolled again."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.test_edit import edit, make_take
from tests.e2e.visitor import DONE_MS, Visitor


def test_a_jump_is_told_mended_and_rolled_again(visitor: Visitor) -> None:
    clip = visitor.make_clip("a red ball bouncing on grass")
    page = edit(visitor, clip)
    expect(page.locator(".edit-seams")).to_be_hidden()
    axis = page.get_by_role("slider", name="Frame", exact=True)
    axis.focus()
    page.keyboard.press("Home")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("i")
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("o")
    page.locator(".edit textarea").fill("a yellow star at night")
    page.locator('.edit input[name="seed"]').fill("3")
    take = make_take(visitor)
    assert take["measurements"]["seam.in_colour"] > 1.5, "a night in a day jumps"
    guard = page.locator(".edit-seams")
    expect(guard.locator("p.bad").first).to_contain_text("the colour jumps")
    expect(page.locator(".seam-marks i.bad").first).to_be_visible()
    guard.locator("p.bad button").first.click()
    expect(axis).to_have_attribute("aria-valuenow", "8")

    page.reload()
    expect(page.locator(".edit-seams p.bad").first).to_contain_text("At 0.67 s")
    before = page.locator('.take[aria-current="true"]').get_attribute("data-clip")
    page.get_by_role("button", name="Re-roll").click()
    expect(page.locator(f'.take[aria-current="true"]:not([data-clip="{before}"])')).to_be_visible(timeout=DONE_MS)
    again = visitor.api(f"/clips/{page.locator('.take[aria-current=true]').get_attribute('data-clip')}")
    assert again["request"]["edit"] == take["request"]["edit"] and again["request"]["source"] == take["request"]["source"]
    assert again["request"]["seed"] != 3 and again["request"] | {"seed": 3} == take["request"]

    match = page.locator(".edit-seams").get_by_role("button", name="Match colour")
    expect(match).to_be_visible()
    match.click()
    expect(page.locator(f'.take[aria-current="true"]:not([data-clip="{again["id"]}"])')).to_be_visible(timeout=DONE_MS)
    mended = visitor.api(f"/clips/{page.locator('.take[aria-current=true]').get_attribute('data-clip')}")
    assert mended["request"]["edit"]["kind"] == "match-colour" and mended["request"]["source"] == f"clip:{again['id']}"
    assert mended["measurements"]["seam.in_colour"] < again["measurements"]["seam.in_colour"]
    expect(page.locator(".edit-seams").get_by_role("button", name="Match colour")).to_have_count(0)
