"""Export from the Edit tab: by the keyboard, by the mouse, only what fits the clip, and a refusal as a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from pipelines.clip_io import read_media
from tests.e2e.server import Server
from tests.e2e.test_edit import edit
from tests.e2e.visitor import DONE_MS, Visitor


def test_a_gif_by_the_keyboard_and_a_webm_by_the_mouse(visitor: Visitor, tmp_path: Path) -> None:
    clip = visitor.make_clip("a red ball bounces on grass")
    page = edit(visitor, clip)
    opener = page.get_by_role("button", name="Export", exact=True)
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="WebM").first).to_be_focused()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="GIF")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu", name="Export as")).to_be_hidden()
    expect(opener).to_be_focused()
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    with page.expect_download(timeout=DONE_MS) as saving:
        page.keyboard.press("Enter")
    assert saving.value.suggested_filename.endswith(f"-{clip['id'][:8]}.gif")
    saving.value.save_as(tmp_path / "clip.gif")
    picture = Image.open(tmp_path / "clip.gif")
    assert picture.size == (clip["width"], clip["height"]) and picture.n_frames == clip["num_frames"]
    expect(page.locator(".toast")).to_contain_text("GIF saved as")
    opener.click()
    with page.expect_download(timeout=DONE_MS) as saving:
        page.get_by_role("menuitem", name="WebM", exact=False).first.click()
    saving.value.save_as(tmp_path / "clip.webm")
    found = read_media(tmp_path / "clip.webm")
    assert len(found.frames) == clip["num_frames"] and found.sound is not None


def test_only_what_fits_the_clip_is_offered(visitor: Visitor) -> None:
    clip = visitor.make_clip("a blue star drifts over the sea")
    page = edit(visitor, clip)
    page.get_by_role("button", name="Mute", exact=True).click()
    page.locator("#make-take").click()
    expect(page.locator(f'.take[aria-current="true"]:not([data-clip="{clip["id"]}"])')).to_be_visible(timeout=DONE_MS)
    page.get_by_role("button", name="Export", exact=True).click()
    expect(page.get_by_role("menuitem")).to_have_count(5)
    expect(page.get_by_role("menuitem", name="WAV")).to_have_count(0)
    page.locator(".edit-title").click()
    expect(page.get_by_role("menu", name="Export as")).to_be_hidden()


@pytest.mark.parametrize(("colours", "width", "height"), [("dark", 1440, 900), ("light", 1440, 900), ("dark", 390, 844)])
def test_the_menu_lies_within_the_page(browser: Browser, server: Server, colours: str, width: int, height: int) -> None:
    person = Visitor(browser, server.url, width=width, height=height, colours=colours)
    page = edit(person, person.make_clip("a red ball bounces on grass"))
    page.get_by_role("button", name="Export", exact=True).click()
    box = page.get_by_role("menu", name="Export as").bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= width
    assert not person.overflows()
    if folder := os.environ.get("STUDIO_EXPORT_PICTURES"):
        page.wait_for_timeout(500)
        page.screenshot(path=Path(folder) / f"export-{width}-{colours}.png")
    person.leave()
