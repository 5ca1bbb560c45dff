"""The Library tab: found, renamed, restored by button and by file, deleted and undone, there after a restart."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.server import Server
from tests.e2e.visitor import Visitor

DROP = """async (url) => {
    const file = new File([await (await fetch(url)).blob()], 'clip.mp4', {type: 'video/mp4'});
    const moved = new DataTransfer();
    moved.items.add(file);
    for (const kind of ['dragenter', 'dragover', 'drop'])
        document.body.dispatchEvent(new DragEvent(kind, {dataTransfer: moved, bubbles: true, cancelable: true}));
}"""


def test_clip_is_found_named_tagged_and_filtered(visitor: Visitor) -> None:
    clip = visitor.make_clip("a yellow triangle sliding over snow")
    page = visitor.page
    visitor.open_library()
    page.get_by_label("Search clips").fill("triangle snow")
    card = page.locator(f'.clip[data-clip="{clip["id"]}"]')
    expect(card).to_be_visible()
    card.get_by_role("button", name="Open clip").click()
    detail = page.locator("dialog.detail")
    expect(detail.locator(".facts")).to_contain_text(str(clip["request"]["seed"]))
    expect(detail.locator(".facts")).to_contain_text("Picture guidance")
    detail.get_by_label("Name").fill("Snowy take")
    detail.get_by_label("Tags, separated by commas").fill("winter, test")
    detail.get_by_label("Tags, separated by commas").blur()
    expect(detail.locator("h2")).to_have_text("Snowy take")
    expect(page.locator(".library > .chips").get_by_role("button", name="winter", include_hidden=True)).to_have_count(1)
    page.wait_for_function("() => document.querySelector('dialog.detail video').duration > 0")
    detail.get_by_role("button", name="Add to favourites").click()
    expect(detail.get_by_role("button", name="Remove from favourites")).to_be_visible()
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    page.get_by_label("Search clips").fill("winter")
    expect(card).to_contain_text("Snowy take")
    page.get_by_role("button", name="Favourites", exact=True).click()
    expect(card).to_be_visible()
    page.get_by_label("Search clips").fill("no such clip anywhere")
    expect(page.locator(".empty")).to_contain_text("No clip matches")
    page.get_by_role("button", name="Show all clips").click()
    page.locator(".library > .chips").get_by_role("button", name="winter").click()
    expect(page.locator(".library .clip")).to_have_count(1)


def test_what_is_written_while_the_last_change_is_saved_is_not_lost(visitor: Visitor) -> None:
    clip = visitor.make_clip("a teal ring rising at night")
    page = visitor.page
    visitor.open_library()
    page.locator(f'.clip[data-clip="{clip["id"]}"]').get_by_role("button", name="Open clip").click()
    detail = page.locator("dialog.detail")
    slow_line = {"offline": False, "latency": 600, "downloadThroughput": -1, "uploadThroughput": -1}
    visitor.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow_line)
    saved: list[object] = []
    page.on("request", lambda request: saved.append(request.post_data_json) if request.method == "PATCH" else None)
    detail.get_by_label("Name").fill("Slow ring")
    tags = detail.get_by_label("Tags, separated by commas")
    tags.press_sequentially("late, ring", delay=100)
    expect(detail.locator("h2")).to_have_text("Slow ring")
    expect(tags).to_have_value("late, ring")
    expect(tags).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".library > .chips").get_by_role("button", name="late", include_hidden=True)).to_have_count(1)
    assert visitor.api(f"/clips/{clip['id']}")["tags"] == ["late", "ring"]
    assert saved == [{"name": "Slow ring"}, {"tags": ["late", "ring"]}]  # no half of a word between them


def test_settings_come_back_by_button_and_by_dropping_the_file(visitor: Visitor) -> None:
    clip = visitor.make_clip("a white ring spinning in a hall")
    page = visitor.page
    for way in ("button", "file"):
        visitor.write("something else")
        page.locator("#field-seed input").fill("1")
        visitor.await_form(prompt="something else", seed=1)
        if way == "button":
            visitor.open_library()
            page.locator(f'.clip[data-clip="{clip["id"]}"]').get_by_role("button", name="Open clip").click()
            page.get_by_role("button", name="Use these settings").last.click()
        else:
            page.evaluate(DROP, clip["urls"]["file"])
        expect(page.locator("#field-prompt textarea")).to_have_value(clip["request"]["prompt"])
        expect(page.locator("#field-seed input")).to_have_value(str(clip["request"]["seed"]))
        expect(page.locator("#field-seed_lock input")).to_be_checked()
        expect(page.get_by_role("tab", name="Create")).to_have_attribute("aria-selected", "true")
    if not page.locator("#field-num_inference_steps").is_visible():
        page.locator("#advanced > button").click()
    expect(page.locator("#field-num_inference_steps input")).to_have_value(str(clip["request"]["num_inference_steps"]))
    visitor.api("/queue/pause", "POST")
    again = visitor.generate()
    assert again["request"] == clip["request"]
    visitor.api(f"/jobs/{again['id']}/cancel", "POST")
    visitor.api("/queue/resume", "POST")


def test_a_file_without_settings_is_refused_in_words(visitor: Visitor) -> None:
    visitor.expected = ("status of 4",)
    visitor.open_library()
    chooser = visitor.page.locator('.library input[type="file"]')
    chooser.set_input_files({"name": "holiday.mp4", "mimeType": "video/mp4", "buffer": b"\x00\x00\x00\x18ftypmp42 nothing more"})
    expect(visitor.page.locator(".toast.bad")).to_be_visible()
    expect(visitor.page.locator(".library .tools")).to_be_visible()


def test_delete_is_undone(visitor: Visitor) -> None:
    clip = visitor.make_clip("a purple star that comes back")
    page = visitor.page
    visitor.open_library()
    card = page.locator(f'.clip[data-clip="{clip["id"]}"]')
    card.get_by_role("button", name="Open clip").click()
    page.get_by_role("button", name="Delete the clip").click()
    expect(card).to_have_count(0)
    assert clip["id"] not in [each["id"] for each in visitor.api("/clips")["clips"]]
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(card).to_be_visible()
    assert clip["id"] in [each["id"] for each in visitor.api("/clips")["clips"]]


def test_a_clip_is_downloaded_whole(visitor: Visitor, tmp_path: Path) -> None:
    clip = visitor.make_clip("a clip to take home")
    page = visitor.page
    visitor.open_library()
    page.locator(f'.clip[data-clip="{clip["id"]}"]').get_by_role("button", name="Open clip").click()
    with page.expect_download() as download:
        page.locator("dialog").get_by_role("link", name="Download the clip").click()
    download.value.save_as(tmp_path / "clip.mp4")
    assert (tmp_path / "clip.mp4").stat().st_size == clip["size_bytes"]


def test_the_library_is_there_after_a_restart_and_the_page_finds_the_server_again(visitor: Visitor, server: Server) -> None:
    clip = visitor.make_clip("a clip that outlives the server")
    visitor.expected = ("Failed to load resource", "ERR_", "Connection")  # while the server is away
    server.stop()
    visitor.page.wait_for_timeout(1500)
    server.start()
    visitor.page.reload()
    expect(visitor.page.locator(f'.strip [data-clip="{clip["id"]}"]')).to_be_visible()
    visitor.open_library()
    visitor.page.locator(f'.clip[data-clip="{clip["id"]}"]').get_by_role("button", name="Open clip").click()
    visitor.page.wait_for_function("() => document.querySelector('dialog.detail video').duration > 0")
