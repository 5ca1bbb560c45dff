"""The Create tab: a prompt becomes a clip, watched, reloaded, doubled, cancelled, queued."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.visitor import DONE_MS, Visitor

MOST_BYTES, MOST_PIECES = 500_000, 10


def test_opens_light_and_teaches(visitor: Visitor) -> None:
    """How long it takes is `benchmarks/page.py`; that depends on how much comes over the line, and in how many pieces."""
    page = visitor.page
    expect(page.locator(".screen")).to_be_visible()
    expect(page.locator(".examples .chip").first).to_be_visible()
    expect(page.locator(".card")).to_contain_text("Quality")
    sent = page.evaluate(
        "() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".map((entry) => [entry.name, entry.transferSize])"
    )
    page_itself = {name: size for name, size in sent if "/api/v1/" not in name}  # how many clips there are is the person's doing
    assert sum(page_itself.values()) <= MOST_BYTES, sent
    pieces = [name for name in page_itself if "/assets/" not in name]  # those are Gradio's
    assert len(pieces) <= MOST_PIECES, pieces


def test_a_prompt_becomes_a_clip_that_plays_with_sound(visitor: Visitor) -> None:
    page = visitor.page
    page.locator(".examples .chip").first.click()
    prompt = page.locator(".examples .chip").first.inner_text()
    expect(page.locator("#field-prompt textarea")).to_have_value(prompt)
    visitor.set_steps(100)  # a fast machine is done with the usual 24 before two previews could be seen
    job = visitor.generate()
    assert job["request"]["prompt"] == prompt
    expect(page.locator(".hud .bar")).to_be_visible()
    expect(page.locator(".screen .preview")).to_be_visible(timeout=DONE_MS)
    assert page.locator(".screen .preview").evaluate("image => image.naturalWidth") > 0
    # Two previews are promised; more come only where they are cheap beside the steps.
    page.wait_for_function("() => Number(document.querySelector('.screen .preview').dataset.version) >= 2", timeout=DONE_MS)
    assert 0 < int(page.locator(".bar").get_attribute("aria-valuenow") or 0) <= 100
    visitor.await_clip()
    video = page.locator(".screen video")
    video.evaluate("video => video.play()")
    page.wait_for_function("() => document.querySelector('.screen video').currentTime > 0.3")
    assert video.evaluate("video => video.duration") > 0
    assert video.evaluate("video => video.webkitAudioDecodedByteCount") > 0
    assert video.evaluate("video => video.videoWidth") == job["request"]["width"]
    expect(page.locator('.card [data-metric="temporal.flicker"]')).to_contain_text("grey levels")
    expect(page.locator(".card .verdict")).to_be_visible()
    expect(page.locator(".strip .tile").first).to_have_attribute("aria-current", "true")
    assert int(page.locator("#field-seed input").input_value()) == job["request"]["seed"]


def test_reload_and_second_tab_lose_nothing_and_either_may_cancel(visitor: Visitor) -> None:
    first = visitor.page
    visitor.write("a green square rolling in the rain")
    visitor.take_long()
    job = visitor.generate()
    expect(first.locator(".screen .preview")).to_be_visible(timeout=DONE_MS)
    shown = first.locator(".screen .preview").get_attribute("data-version") or ""
    expect(first.locator(".screen .preview")).not_to_have_attribute("data-version", shown)
    first.reload()
    expect(first.locator(".caption")).to_contain_text(job["request"]["prompt"])
    expect(first.locator(".screen .preview")).to_be_visible()
    expect(first.locator("#field-prompt textarea")).to_have_value(job["request"]["prompt"])
    second = visitor.tab()
    expect(second.locator(".screen .preview")).to_be_visible()
    expect(second.locator(".hud-step")).to_contain_text("of 200")
    second.locator("#cancel").click()
    expect(second.locator(".toast")).to_contain_text("Cancelled")
    first.bring_to_front()
    expect(first.locator(".toast")).to_contain_text("Cancelled")
    expect(first.locator("#cancel")).to_be_hidden()
    assert visitor.api(f"/jobs/{job['id']}")["state"] == "cancelled"


def test_a_clip_that_is_out_of_sight_is_silent(visitor: Visitor) -> None:
    visitor.make_clip("a red ball bouncing on grass")
    page = visitor.page
    page.reload()
    page.locator(".strip .tile").first.click()
    page.wait_for_function("() => document.querySelector('.screen video').currentTime > 0.1")
    visitor.open_library()
    page.wait_for_function("() => document.querySelector('#stage video').paused")


def test_the_keyboard_stays_where_it_is_while_the_queue_moves(visitor: Visitor) -> None:
    page = visitor.page
    visitor.write("a long run to look on")
    visitor.take_long()
    job = visitor.generate()
    row = page.locator(f'.queue-item[data-job="{job["id"]}"]')
    row.get_by_role("button", name="Cancel this clip").focus()
    first = row.locator(".queue-place").inner_text()
    expect(row.locator(".queue-place")).not_to_have_text(first)
    expect(row.get_by_role("button", name="Cancel this clip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("Cancelled")


def test_keyboard_submits_and_the_queue_is_ordered_by_hand(visitor: Visitor) -> None:
    page = visitor.page
    page.locator(".queue").get_by_role("button", name="Pause").click()
    expect(page.locator("#queue-pill")).to_contain_text("Paused")
    for prompt in ("first in line", "second in line"):
        visitor.write(prompt)
        page.keyboard.press("Control+Enter")
        expect(page.locator(".queue-item").filter(has_text=prompt)).to_be_visible()
    rows = page.locator(".queue-item.queued .queue-prompt")
    expect(rows).to_have_text(["first in line", "second in line"])
    page.locator(".queue-item").filter(has_text="second").get_by_role("button", name="Move up").click()
    expect(rows).to_have_text(["second in line", "first in line"])
    for prompt in ("first in line", "second in line"):
        page.locator(".queue-item").filter(has_text=prompt).get_by_role("button", name="Take out of the queue").click()
        expect(page.locator(".queue-item").filter(has_text=prompt)).to_have_count(0)
    page.locator(".queue").get_by_role("button", name="Resume").click()
    expect(page.locator("#queue-pill")).to_have_text("Ready")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("prompt textarea", "", "prompt is empty: say what to see and hear."),
        ("size input", "130 x 128", "width is 130"),
        ("size input", "very wide", "write width and height in pixels"),
    ],
)
def test_bad_input_gets_a_sentence_beside_its_field(visitor: Visitor, field: str, value: str, sentence: str) -> None:
    page = visitor.page
    visitor.write("a clip that is not to be made")
    page.locator(f"#field-{field}").fill(value)
    page.locator(f"#field-{field}").blur()
    visitor.await_form(**{field.split()[0]: value})
    page.locator("#generate").click()
    complaint = page.locator(f"#field-{field.split()[0]} .complaint")
    expect(complaint).to_contain_text(sentence)
    expect(page.locator(f"#field-{field}")).to_have_attribute("aria-invalid", "true")
    assert [job for job in visitor.api("/jobs") if job["state"] in ("queued", "running")] == []


def test_advanced_fields_complain_where_they_are_also_when_folded_away(visitor: Visitor) -> None:
    page = visitor.page
    visitor.write("too many steps")
    visitor.set_steps(2000)
    page.locator("#advanced > button").click()
    expect(page.locator("#field-num_inference_steps")).to_be_hidden()
    page.locator("#generate").click()
    expect(page.locator("#field-num_inference_steps .complaint")).to_contain_text("use 200 or less")


def test_a_first_frame_is_stored_and_a_broken_one_is_refused_in_words(visitor: Visitor) -> None:
    page = visitor.page
    visitor.expected = ("status of 4",)  # the browser itself notes every refused upload
    chooser = page.locator("#field-first_frame input[type=file]")
    chooser.set_input_files({"name": "broken.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\nnot an image"})
    expect(page.locator("#field-first_frame .complaint")).to_be_visible()
    picture = page.screenshot(clip={"x": 400, "y": 100, "width": 300, "height": 300})
    chooser.set_input_files({"name": "frame.png", "mimeType": "image/png", "buffer": picture})
    expect(page.locator("#field-first_frame img")).to_be_visible()
    expect(page.locator("#field-first_frame .complaint")).to_have_count(0)
    ending = page.locator("#field-last_frame input[type=file]")
    ending.set_input_files({"name": "broken.png", "mimeType": "image/png", "buffer": b"not an image"})
    expect(page.locator("#field-last_frame .complaint")).to_contain_text("last_frame")
    ending.set_input_files({"name": "frame.png", "mimeType": "image/png", "buffer": picture})
    expect(page.get_by_role("img", name="The chosen last frame")).to_be_visible()
    visitor.api("/queue/pause", "POST")
    visitor.write("it starts from a picture")
    job = visitor.generate()
    assert job["request"]["first_frame"].startswith("sha256:") and job["request"]["last_frame"] == job["request"]["first_frame"]
    visitor.api(f"/jobs/{job['id']}/cancel", "POST")
    visitor.api("/queue/resume", "POST")
    page.get_by_role("button", name="Remove the first frame").click()
    expect(page.locator("#field-first_frame img")).to_have_count(0)


def test_duration_moves_on_the_models_frame_grid(visitor: Visitor) -> None:
    page = visitor.page
    model = next(each for each in visitor.api("/models") if each["id"] == "pocket")
    slider = page.locator("#field-duration input[type=range]")
    slider.focus()
    before = page.locator("#field-duration .note").inner_text()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#field-duration .note")).not_to_have_text(before)
    frames = int(page.locator("#field-duration .note").inner_text().split("·")[1].split()[0])
    assert (frames - 1) % model["frame_multiple"] == 0


def test_the_form_outlives_the_page(visitor: Visitor) -> None:
    page = visitor.page
    visitor.write("a draft that I have not sent")
    page.locator("#field-seed input").fill("4242")
    visitor.await_form(prompt="a draft that I have not sent", seed=4242)
    page.reload()
    expect(page.locator("#field-prompt textarea")).to_have_value("a draft that I have not sent")
    expect(page.locator("#field-seed input")).to_have_value("4242")
    expect(page.locator("#field-seed_lock input")).to_be_checked()
