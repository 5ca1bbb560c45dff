"""The project below the editor: two clips become a film, reordered, undone, trimmed, played, exported and brought back."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from pipelines.clip_io import read_media
from tests.e2e.server import ROOT, Server
from tests.e2e.test_edit import edit, make_take
from tests.e2e.visitor import DONE_MS, Visitor

SCREENSHOTS = ROOT / "docs" / "screenshots"


def names(page: Page) -> list[str]:
    return [each.split("  ", 1)[1] for each in page.locator(".shot-name").all_text_contents()]


def project_of(visitor: Visitor) -> dict:
    """The project that is open, as the API tells it."""
    asked = "() => fetch(`/api/v1/projects/${localStorage.getItem('studio.project')}`).then((answer) => answer.json())"
    return dict(visitor.page.evaluate(asked))


def begin(visitor: Visitor, name: str, *prompts: str) -> list[dict]:
    """A project of one shot a prompt, made by hand: each clip opened in the editor and added."""
    clips = [visitor.make_clip(prompt) for prompt in prompts]
    page = visitor.page
    for number, clip in enumerate(clips):
        edit(visitor, clip)
        expect(page.locator(f'.take[aria-current="true"][data-clip="{clip["id"]}"]')).to_be_visible()
        page.get_by_role("button", name="Add this clip").click()
        expect(page.locator(".shot")).to_have_count(number + 1)
        if number == 0:
            field = page.get_by_role("textbox", name="Name of the project")
            expect(field).to_be_focused()
            field.fill(name)
            field.press("Enter")
            expect(page.get_by_role("combobox", name="Project", exact=True)).to_be_visible()
    return clips


def test_two_clips_become_a_film(visitor: Visitor, tmp_path: Path) -> None:
    clips = begin(visitor, "A short film", "a red ball bounces on grass", "a blue star drifts over the sea")
    page = visitor.page
    assert project_of(visitor)["name"] == "A short film"
    expect(page.locator(".timeline .count")).to_contain_text("2 shots · 4.2 s")
    page.locator(".shot-face").nth(1).focus()
    page.keyboard.press("Alt+ArrowLeft")
    expect(page.locator(".shot-name").first).to_have_text("1  a blue star drifts over the sea")
    expect(page.locator(".shot-face").first).to_be_focused()
    page.keyboard.press("Control+z")
    expect(page.locator(".shot-name").first).to_have_text("1  a red ball bounces on grass")
    page.keyboard.press("Control+Shift+z")
    expect(page.locator(".shot-name").first).to_have_text("1  a blue star drifts over the sea")
    page.locator(".shot").first.drag_to(page.locator(".shot").nth(1), target_position={"x": 250, "y": 40})
    expect(page.locator(".shot-name").first).to_have_text("1  a red ball bounces on grass")
    page.reload()
    page.get_by_role("tab", name="Edit").click()
    expect(page.locator(".shot")).to_have_count(2)
    for _ in range(2):
        page.get_by_role("button", name="Undo in the project").click()
    expect(page.get_by_role("button", name="Undo in the project")).to_have_attribute("title", "Undo the new shot")
    expect(page.locator(".shot-name").first).to_have_text("1  a red ball bounces on grass")
    assert project_of(visitor)["redo"] == "move_shot", "the history outlives the page"
    page.get_by_role("button", name="Export project").click()
    with page.expect_download(timeout=DONE_MS) as saving:
        page.get_by_role("menuitem", name="Film").click()
    assert saving.value.suggested_filename == "A short film.mp4"
    saving.value.save_as(tmp_path / "film.mp4")
    assert len(read_media(tmp_path / "film.mp4").frames) == sum(clip["num_frames"] for clip in clips)


def test_edits_become_takes_and_shots_are_trimmed(visitor: Visitor) -> None:
    (clip,) = begin(visitor, "Takes", "a green cube stands on snow")
    page = visitor.page
    page.locator(".shot-face").click()
    expect(page.get_by_role("group", name="Shot 1")).to_be_visible()
    expect(page.locator(".shot-face")).to_have_attribute("aria-current", "true")
    page.get_by_role("button", name="Mute", exact=True).click()
    take = make_take(visitor)
    expect(page.locator(".shot-takes")).to_have_text("2 of 2")
    assert project_of(visitor)["shots"][0]["chosen"] == take["id"]
    expect(page.get_by_role("button", name="Take 2: Mute of take 1")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Take 1: Original").click()
    expect(page.locator(f'.take[aria-current="true"][data-clip="{clip["id"]}"]')).to_be_visible()
    expect(page.locator(".shot-takes")).to_have_text("1 of 2")
    page.get_by_role("spinbutton", name="Out, seconds").fill("1.25")
    page.get_by_role("spinbutton", name="Out, seconds").press("Enter")
    expect(page.locator(".shot-time")).to_contain_text("1.25 s")
    field = page.get_by_role("textbox", name="Name of the shot")
    field.fill("The cube")
    field.press("Enter")
    expect(page.locator(".shot-name")).to_have_text("1  The cube")
    page.get_by_role("button", name="Play all").click()
    film = page.get_by_role("dialog")
    expect(film).to_contain_text("1 of 1 · The cube")
    page.wait_for_function("() => [...document.querySelectorAll('.film video')].some((each) => each.currentTime > 0.2)")
    page.keyboard.press("Escape")
    expect(film).to_have_count(0)
    page.get_by_role("button", name="Remove this take from the shot").click()
    expect(page.locator(".shot-takes")).to_have_count(0)
    expect(page.locator(f'.take[aria-current="true"][data-clip="{take["id"]}"]')).to_be_visible()
    page.get_by_role("button", name="Undo in the project").click()
    expect(page.locator(".shot-takes")).to_have_text("1 of 2")
    page.evaluate("(clip) => window.studio.clipEdited(clip)", {"id": "0" * 32, "request": {"source": f"clip:{clip['id']}"}})
    expect(page.locator(".toast").last).to_contain_text("Adding it gives up what can be done again")
    assert project_of(visitor)["redo"] == "remove_take", "an edit that ends in the background leaves the history alone"


def test_shots_are_split_at_the_playhead_and_trimmed_by_their_edges(visitor: Visitor) -> None:
    """A clip of 25 frames at 12 a second, cut after its 12th frame; then the later half loses its end."""
    begin(visitor, "The cut", "a red ball bounces on grass")
    page = visitor.page
    page.locator(".shot-face").click()
    expect(page.get_by_role("group", name="Shot 1")).to_be_visible()
    playhead = page.get_by_role("slider", name="Playhead of the project")
    playhead.press("Home")
    for _ in range(12):
        playhead.press("ArrowRight")
    expect(playhead).to_have_attribute("aria-valuenow", "1.00")
    expect(page.locator(".edit-controls .counter").first).to_contain_text("frame 12 ")
    playhead.press("s")
    expect(page.locator(".shot")).to_have_count(2)
    (former, later) = project_of(visitor)["shots"]
    assert (former["end_s"], later["start_s"]) == (1.0, 1.0) and former["chosen"] == later["chosen"]
    assert later["duration_s"] == pytest.approx(13 / 12)
    page.get_by_role("slider", name="Frame", exact=True).press("ArrowRight")
    expect(playhead).to_have_attribute("aria-valuenow", "1.00")  # the open shot ends there
    edge = page.locator(".edge.end").nth(1).bounding_box()
    assert edge is not None
    page.mouse.move(edge["x"] + 4, edge["y"] + 40)
    page.mouse.down()
    page.mouse.move(edge["x"] - 50, edge["y"] + 40, steps=5)
    expect(page.locator(".shot-time").nth(1)).to_contain_text("1.00 – ")
    page.mouse.up()
    page.wait_for_function("() => document.querySelectorAll('.shot-time')[1].textContent.startsWith('0.')")
    after = project_of(visitor)["shots"][1]
    assert after["start_s"] == 1.0 and after["end_s"] < 2.0 and after["duration_s"] < later["duration_s"]
    for _ in range(2):
        page.keyboard.press("Control+z")
    expect(page.locator(".shot")).to_have_count(1)
    ruler = page.locator(".ruler").bounding_box()
    assert ruler is not None
    page.mouse.click(ruler["x"] + 100, ruler["y"] + 10)
    moment = float(playhead.get_attribute("aria-valuenow") or 0)
    assert 0.3 < moment < 1.5
    expect(page.locator(".edit-controls .counter").first).to_contain_text(f"frame {round(moment * 12)} ")


def test_another_tab_is_not_overwritten(visitor: Visitor) -> None:
    begin(visitor, "Two tabs", "a yellow ring on sand")
    page, project = visitor.page, project_of(visitor)
    visitor.expected = ("status of 409",)
    operation = {"op": "rename_shot", "shot": project["shots"][0]["id"], "name": "By the other"}
    visitor.api(f"/projects/{project['id']}/changes", "POST", {"revision": project["revision"], "operation": operation})
    page.locator(".shot-face").first.focus()
    page.keyboard.press("Delete")
    expect(page.locator(".toast.bad")).to_contain_text("changed elsewhere")
    assert names(page) == ["By the other"]


def test_a_project_file_goes_out_and_comes_back_by_drop(visitor: Visitor, tmp_path: Path) -> None:
    begin(visitor, "To keep", "a red ball rolls")
    page, before = visitor.page, project_of(visitor)
    page.get_by_role("button", name="Export project").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    with page.expect_download(timeout=DONE_MS) as saving:
        page.keyboard.press("Enter")
    saving.value.save_as(tmp_path / "keep.aiprod")
    assert zipfile.is_zipfile(tmp_path / "keep.aiprod")
    page.get_by_role("button", name="Delete the project").click()
    expect(page.locator(".toast").last).to_contain_text("To keep is in the trash")
    expect(page.locator(".timeline")).to_have_attribute("data-open", "false")
    page.get_by_label("Import a project").set_input_files(tmp_path / "keep.aiprod")
    expect(page.locator(".shot")).to_have_count(1)
    after = project_of(visitor)
    assert after["shots"] == before["shots"] and after["id"] != before["id"]
    content = (tmp_path / "keep.aiprod").read_bytes()
    page.evaluate(
        """(bytes) => { const given = new DataTransfer(); given.items.add(new File([new Uint8Array(bytes)], 'again.aiprod'));
            document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: given, bubbles: true, cancelable: true })); }""",
        list(content),
    )
    expect(page.locator(".toast").last).to_contain_text("To keep is here, with 1 shot")
    assert project_of(visitor)["id"] not in (before["id"], after["id"])
    visitor.expected = ("status of 422",)
    page.get_by_label("Import a project").set_input_files({"name": "x.aiprod", "mimeType": "", "buffer": b"nothing"})
    expect(page.locator(".toast.bad")).to_contain_text("cannot be read as a project")


@pytest.mark.parametrize(("colours", "width", "height"), [("dark", 1440, 900), ("light", 1440, 900), ("dark", 390, 844)])
def test_pictures_of_the_strip(browser: Browser, server: Server, colours: str, width: int, height: int) -> None:
    person = Visitor(browser, server.url, width=width, height=height, colours=colours)
    begin(
        person, "The ball and the star", "a red ball bounces on grass", "a blue star drifts over the sea", "a green cube on snow"
    )
    page = person.page
    page.locator(".shot-face").nth(1).click()
    expect(page.get_by_role("group", name="Shot 2")).to_be_visible()
    page.wait_for_timeout(1000)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.shot img')].every((each) => each.complete && each.naturalWidth)"
    )
    assert not person.overflows()
    nameless = """() => [...document.querySelectorAll('.timeline button, .timeline input, .timeline select')]
        .filter((each) => each.offsetParent && !(each.innerText?.trim() || each.ariaLabel || each.labels?.length))
        .map((each) => each.outerHTML)"""
    assert page.evaluate(nameless) == []
    if os.environ.get("STUDIO_SCREENSHOTS"):
        kind = "phone" if width < 800 else "desktop"
        if kind == "phone":
            page.locator(".timeline").scroll_into_view_if_needed()
        page.screenshot(path=SCREENSHOTS / f"timeline-{kind}-{colours}.png")
    person.leave()
