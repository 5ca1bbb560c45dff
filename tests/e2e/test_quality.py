"""The quality card as a person meets it: an offset found and fixed, a clip measured again, the order, two clips compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from pipelines.contract import GenerationRequest
from pipelines.metrics.ceiling import save
from pipelines.registry import ModelCatalogue
from pipelines.world import Scene, make_clip
from pipelines.world.scene import Subject
from tests.e2e.server import Server
from tests.e2e.visitor import DONE_MS, Visitor

PROMPT = "a red ball dancing on grass to drums"
LATE_S = 0.25


@pytest.fixture(scope="module")
def dances(server: Server, browser: Any) -> dict[str, Any]:
    """Two clips of the library whose truth is known: a dance to its own drums, and one whose drums are late."""
    person = Visitor(browser, server.url)
    clip = make_clip(Scene((Subject("ball", colour="red"),), "grass", "dancing", sound="drums"), size=128)
    late = np.pad(clip.waveform, (round(LATE_S * 16_000), 0))[: len(clip.waveform)]
    found = {}
    for name, waveform in (("right", clip.waveform), ("late", late)):
        made = person.make_clip(f"{PROMPT}, {name}")
        request = ModelCatalogue.with_folders({}).complete(GenerationRequest(prompt=PROMPT, seed=1))
        (path,) = (server.folder / "data" / "clips").rglob(f"{made['id']}.mp4")
        save(path, clip.frames, waveform, request)
        found[name] = person.api(f"/clips/{made['id']}/measure", "POST")
    person.leave()
    return found


def open_clip(visitor: Visitor, clip: dict[str, Any]) -> Any:
    visitor.open_library()
    visitor.page.locator(f'.clip[data-clip="{clip["id"]}"]').get_by_role("button", name="Open clip").click()
    return visitor.page.locator("dialog.detail")


def test_an_offset_is_told_and_fixed(visitor: Visitor, dances: dict[str, Any]) -> None:
    late = dances["late"]
    assert abs(late["measurements"]["sync.offset_ms"] - 1000 * LATE_S) <= 1000 / 12
    detail = open_clip(visitor, late)
    expect(detail.locator(".verdict.bad")).to_contain_text("too late")
    expect(detail.get_by_role("img", name="where the picture puts them")).to_be_visible()
    detail.get_by_role("button", name="Fix sync").click()
    expect(visitor.page.locator(".toast").first).to_be_visible()
    visitor.page.wait_for_function(
        "async () => (await (await fetch('/api/v1/jobs')).json()).some((job) => job.request.kind === 'edit')"
    )
    job = next(job for job in visitor.api("/jobs") if job["request"]["kind"] == "edit")
    assert abs(visitor.result_of(job)["measurements"]["sync.offset_ms"]) <= 1000 / 12


def test_a_clip_in_sync_needs_no_fixing(visitor: Visitor, dances: dict[str, Any]) -> None:
    detail = open_clip(visitor, dances["right"])
    expect(detail.locator(".verdict.good")).to_contain_text("together")
    expect(detail.get_by_role("button", name="Fix sync")).to_have_count(0)
    expect(detail.locator('[data-metric="picture.sharpness"] .sign')).to_have_text("good")
    expect(detail.locator(".card-sound figcaption")).to_contain_text("dots: beats")
    assert int(detail.locator(".card-wave").get_attribute("data-seen")) >= 3
    visitor.photograph("quality-card", detail.locator(".quality"))
    detail.get_by_role("button", name="Measure again").click()
    expect(detail.get_by_role("button", name="Measuring…")).to_be_visible()
    expect(detail.get_by_role("button", name="Measure again")).to_be_enabled(timeout=DONE_MS)


def test_the_best_in_sync_come_first(visitor: Visitor, dances: dict[str, Any]) -> None:
    visitor.open_library()
    visitor.page.get_by_label("Search clips").fill("dancing on grass drums")  # others have filled more than a page by now
    visitor.page.get_by_label("Order").select_option(label="Best in sync")
    ids = visitor.page.locator(".library .clip")
    expect(ids.first).to_be_visible()
    sorted_so = """([first, second]) => {
        const order = [...document.querySelectorAll('.library .clip')].map((tile) => tile.dataset.clip);
        return order.includes(first) && order.indexOf(first) < order.indexOf(second);
    }"""
    visitor.page.wait_for_function(sorted_so, arg=[dances["right"]["id"], dances["late"]["id"]])


def test_two_clips_side_by_side(visitor: Visitor, dances: dict[str, Any]) -> None:
    detail = open_clip(visitor, dances["right"])
    detail.get_by_role("button", name="Compare with another clip").click()
    visitor.page.locator(f'.clip[data-clip="{dances["late"]["id"]}"]').get_by_role("button", name="Open clip").click()
    both = visitor.page.locator("dialog.compare")
    expect(both.locator("video")).to_have_count(2)
    row = both.locator("tr", has=visitor.page.get_by_role("rowheader", name="Sound against picture"))
    expect(row.locator("td.wins")).to_have_count(1)
    expect(row.locator("td").nth(2)).to_have_text("A")
    visitor.page.wait_for_function("() => [...document.querySelectorAll('.compare video')].every(v => v.readyState >= 2)")
    both.get_by_role("slider", name="Position of both clips").fill("500")
    times = """() => {
        const [a, b] = document.querySelectorAll(".compare video");
        return !a.seeking && !b.seeking && a.currentTime > 0.8 && Math.abs(a.currentTime - b.currentTime) < 0.05;
    }"""
    visitor.page.wait_for_function(times)
    difference = both.get_by_role("img", name="What differs")
    most = "c => Math.max(...c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((_, at) => at % 4 < 3))"
    visitor.photograph("compare", both)
    assert difference.evaluate(most) <= 60, "the same picture differs nowhere"
    with visitor.page.expect_download() as film:
        both.get_by_role("link", name="Save as a film").click()
    assert film.value.suggested_filename == "what-differs.mp4" and film.value.path().stat().st_size > 500
    assert not visitor.overflows()
