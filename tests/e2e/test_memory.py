"""The bar under Generate: what the clip would take of the memory, as the settings change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.e2e.server import Server
from tests.e2e.visitor import Visitor


@contextmanager
def visiting(browser: Browser, folder: Path, **settings: str) -> Iterator[Visitor]:
    """A person at a studio with these settings."""
    server = Server(folder, **settings)
    server.start()
    try:
        person = Visitor(browser, server.url)
        yield person
        person.leave()
    finally:
        server.stop()


def test_the_bar_follows_the_settings_and_never_stands_in_the_way(visitor: Visitor) -> None:
    page = visitor.page
    bar, note = page.get_by_role("meter", name="Memory for this clip"), page.locator(".memory-note")
    expect(bar).to_be_visible()
    expect(note).to_contain_text("GB free")
    expect(note).to_have_attribute("aria-live", "off")
    before = bar.get_attribute("aria-valuetext")
    page.locator("#field-size input").fill("512 x 512")
    page.locator("#field-size input").blur()
    page.wait_for_function(
        "(before) => document.querySelector('.memory-bar').getAttribute('aria-valuetext') !== before", arg=before
    )
    assert bar.get_attribute("aria-valuetext").startswith("Needs about ")
    expect(page.locator("#generate")).to_be_enabled()


def test_a_model_that_is_too_large_says_so(browser: Browser, tmp_path: Path) -> None:
    """Without blocks that come while they are used, which would make room."""
    with visiting(browser, tmp_path, offload="none") as visitor:
        page = visitor.page
        expect(page.locator(".memory-note")).to_contain_text("GB free")
        page.locator("#field-model input").click()
        page.get_by_role("option", name="LTX-2.3 distilled").click()
        expect(page.locator('.memory[data-fits="false"] .memory-note')).to_contain_text("can be had: choose a smaller model.")
        expect(page.locator(".memory-note")).to_have_attribute("aria-live", "polite")
        expect(page.locator("#generate")).to_be_enabled()


def test_a_large_model_comes_block_by_block(browser: Browser, tmp_path: Path) -> None:
    with visiting(browser, tmp_path, offload="blocks") as visitor:
        told = visitor.api("/models/ltx-2/state")
        assert told["offload"] == "blocks" and told["needs_bytes"] < 30e9
        visitor.page.get_by_role("tab", name="Models").click()
        expect(visitor.page.locator(".model[data-model=ltx-2] .model-facts")).to_contain_text("block by block")
        assert not visitor.overflows()
