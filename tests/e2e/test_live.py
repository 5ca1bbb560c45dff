"""Curves over the preview while a clip is made: they draw, they survive a reload, and they end with the clip."""

from __future__ import annotations

import os
import re

from playwright.sync_api import expect

from tests.e2e.visitor import DONE_MS, Visitor


def test_curves_draw_while_a_clip_is_made(visitor: Visitor) -> None:
    page = visitor.page
    visitor.write("a red ball bouncing on grass")
    visitor.take_long()
    job = visitor.generate()
    traces = page.locator(".hud .trace")
    expect(traces.first).to_be_visible(timeout=DONE_MS)
    expect(page.locator(".screen .preview")).to_be_visible(timeout=DONE_MS)
    expect(traces).to_have_count(3)
    for name in ("sharpness", "motion", "match"):
        expect(page.locator(f'.trace[data-metric="live.{name}"] b')).to_have_text(re.compile(r"\d"))
    match = page.locator('.trace[data-metric="live.match"]')
    expect(match).to_have_attribute("aria-label", re.compile(r"^Match: \d+ %, \d+ percent of the way$"))
    line = page.locator('.trace[data-metric="live.sharpness"] .line')
    page.wait_for_function("() => document.querySelector('.trace .line').getAttribute('d').includes('C')", timeout=DONE_MS)
    first = line.get_attribute("d") or ""
    expect(line).not_to_have_attribute("d", first, timeout=DONE_MS)
    if folder := os.environ.get("STUDIO_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/live-desktop-dark.png")
    page.reload()
    expect(page.locator(".hud .trace").first).to_be_visible()
    assert (page.locator('.trace[data-metric="live.sharpness"] .line').get_attribute("d") or "").count("C") >= first.count("C")
    curves = visitor.api(f"/jobs/{job['id']}")["progress"]["curves"]
    assert set(curves) == {"live.sharpness", "live.motion", "live.match"}
    page.set_viewport_size({"width": 390, "height": 844})
    assert not visitor.overflows()
    if folder := os.environ.get("STUDIO_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/live-phone-dark.png")
    page.locator("#cancel").click()
    expect(page.locator(".toast")).to_contain_text("Cancelled")
    expect(page.locator(".hud")).to_be_hidden()
