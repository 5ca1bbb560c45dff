"""A person's own video in the Edit tab: chosen, dropped, opened with its notices, edited; and refused in one sentence."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.server import ROOT, Server
from tests.e2e.test_edit import make_take
from tests.e2e.visitor import DONE_MS, Visitor
from tests.studio.importing.foreign import Film, write

SCREENSHOTS = ROOT / "docs" / "screenshots"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A film in a size that the model does not know."""
    write(
        tmp_path / "my dog.webm", Film(format="webm", codec="libvpx", size=(200, 120), frames=24, sounds=("libopus",), sound_s=2)
    )
    return tmp_path / "my dog.webm"


def edit_tab(visitor: Visitor) -> Page:
    page = visitor.page
    page.get_by_role("tab", name="Edit").click()
    expect(page.get_by_role("button", name="Open a video…")).to_be_visible()
    return page


def opened(page: Page) -> str:
    """The id of the clip that is open in the editor, once it is."""
    expect(page.locator(".edit-desk")).to_be_visible(timeout=DONE_MS)
    page.wait_for_function("() => document.querySelector('.edit video').readyState >= 2")
    found = page.locator('.take[aria-current="true"]').get_attribute("data-clip")
    assert found
    return found


def test_a_chosen_video_is_open_and_can_be_edited(visitor: Visitor, film: Path) -> None:
    page = edit_tab(visitor)
    with page.expect_file_chooser() as choosing:
        page.get_by_role("button", name="Open a video…").click()
    choosing.value.set_files(film)
    expect(page.locator(".upload")).to_contain_text("my dog.webm is open: 2.0 s", timeout=DONE_MS)
    expect(page.locator(".upload")).to_contain_text("The picture was scaled from 200x120")
    clip = visitor.api(f"/clips/{opened(page)}")
    assert clip["request"]["kind"] == "import" and clip["request"]["file_name"] == "my dog.webm"
    expect(page.locator(".edit-title")).to_have_text("my dog")
    page.get_by_role("button", name="Trim", exact=True).click()
    take = make_take(visitor)
    assert take["request"]["source"] == f"clip:{clip['id']}"
    page.get_by_role("button", name="Dismiss").first.click()
    expect(page.locator(".upload")).to_be_hidden()
    visitor.open_library()
    page.locator(f'.clip[data-clip="{clip["id"]}"]').get_by_role("button", name="Open clip").click()
    expect(page.get_by_role("button", name="Edit the clip")).to_be_visible()
    expect(page.get_by_role("button", name="Use these settings")).to_be_hidden()


def drop(page: Page, name: str, content: bytes, kind: str) -> None:
    """Let a file fall on the page as the browser tells of it."""
    data = page.evaluate_handle(
        """([name, text, type]) => {
            const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], name, { type }));
            return data;
        }""",
        [name, base64.b64encode(content).decode(), kind],
    )
    for event in ("dragenter", "dragover", "drop"):
        page.locator(".edit").dispatch_event(event, {"dataTransfer": data})


def test_a_dropped_file_is_opened_or_refused_in_a_sentence(visitor: Visitor, film: Path) -> None:
    visitor.expected = ("status of 422",)
    page = edit_tab(visitor)
    drop(page, "notes.mp4", b"only text", "video/mp4")
    expect(page.locator(".upload [role=alert]")).to_contain_text("video is no video or sound file", timeout=DONE_MS)
    expect(page.locator(".edit .empty")).to_be_visible()
    drop(page, film.name, film.read_bytes(), "video/webm")
    expect(page.locator(".upload")).to_contain_text("my dog.webm is open", timeout=DONE_MS)
    opened(page)
    expect(page.locator(".veil")).to_be_hidden()
    page.get_by_role("tab", name="Create").click()
    page.locator("#field-prompt textarea").wait_for()


@pytest.mark.parametrize(("colours", "width", "height"), [("dark", 1440, 900), ("light", 390, 844)])
def test_pictures_of_it(browser: Browser, server: Server, film: Path, colours: str, width: int, height: int) -> None:
    person = Visitor(browser, server.url, width=width, height=height, colours=colours)
    page = edit_tab(person)
    assert not person.overflows()
    page.locator("input[type=file][accept^='video/']").set_input_files(film)
    expect(page.locator(".upload")).to_contain_text("is open", timeout=DONE_MS)
    opened(page)
    page.wait_for_timeout(800)
    assert not person.overflows()
    if folder := os.environ.get("STUDIO_SCREENSHOTS"):
        page.screenshot(path=(SCREENSHOTS if folder == "1" else Path(folder)) / f"upload-{width}-{colours}.png")
    person.leave()
