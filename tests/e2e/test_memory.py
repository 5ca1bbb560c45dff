"""The bar under Generate: what the clip would take of the memory, as the settings change."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.visitor import Visitor


def test_the_bar_follows_the_settings_and_never_stands_in_the_way(visitor: Visitor) -> None:
    page = visitor.page
    bar, note = page.get_by_role("meter", name="Memory for this clip"), page.locator(".memory-note")
    expect(bar).to_be_visible(timeout=20_000)
    expect(note).to_contain_text("GB free")
    expect(note).to_have_attribute("aria-live", "off")
    before = bar.get_attribute("aria-valuetext")
    page.locator("#field-size input").fill("512 x 512")
    page.locator("#field-size input").blur()
    page.wait_for_function(
        "(before) => document.querySelector('.memory-bar').getAttribute('aria-valuetext') !== before", arg=before, timeout=20_000
    )
    assert bar.get_attribute("aria-valuetext").startswith("Needs about ")
    expect(page.locator("#generate")).to_be_enabled()


def test_a_model_that_is_too_large_says_so(visitor: Visitor) -> None:
    page = visitor.page
    expect(page.locator(".memory-note")).to_contain_text("GB free", timeout=20_000)
    page.locator("#field-model input").click()
    page.get_by_role("option", name="LTX-2.3 distilled").click()
    expect(page.locator('.memory[data-fits="false"] .memory-note')).to_contain_text(
        "can be had: choose a smaller model.", timeout=20_000
    )
    expect(page.locator(".memory-note")).to_have_attribute("aria-live", "polite")
    expect(page.locator("#generate")).to_be_enabled()
