"""The Models tab: looked at on a desk and on a phone, a model verified and used."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.server import Server
from tests.e2e.test_look import CONTRAST, NAMELESS, SCREENSHOTS
from tests.e2e.visitor import Visitor


@pytest.mark.parametrize(("width", "colours"), [(1440, "dark"), (390, "light")])
def test_a_model_is_looked_at_verified_and_used(browser: Browser, server: Server, width: int, colours: str) -> None:
    person = Visitor(browser, server.url, width=width, height=900 if width > 760 else 844, colours=colours)
    page = person.page
    person.write("a green cube in the rain")
    page.get_by_role("tab", name="Models").click()
    pocket = page.locator(".model[data-model=pocket]")
    expect(pocket.locator(".model-state")).to_have_text("Here")
    expect(pocket.locator(".model-fits")).to_contain_text("Fits. A clip with its own settings needs about")
    distant = page.locator(".model[data-model='ltx-2']")
    expect(distant.locator(".model-state")).to_have_text("Not here")
    expect(distant.get_by_role("button", name="Verify")).to_have_count(0)
    pocket.get_by_role("button", name="Verify Pocket").click()
    expect(pocket.locator(".model-verdict")).to_contain_text("files have their published sha256", timeout=60_000)
    assert not person.overflows()
    assert page.evaluate(NAMELESS) == [] and page.evaluate(CONTRAST) == []
    if os.environ.get("STUDIO_SCREENSHOTS") == "1":
        page.screenshot(path=SCREENSHOTS / f"models-{'desktop' if width > 760 else 'phone'}-{colours}.png")
    distant.get_by_role("button", name="Use LTX-2").click()
    expect(page.locator("#field-model input")).to_have_value("LTX-2  ·  90 GB download")
    expect(page.locator("#field-model input")).to_be_visible()
    expect(page.locator("#field-prompt textarea")).to_have_value("a green cube in the rain")
    person.leave()
