"""The Models tab: looked at on a desk and on a phone, a model verified and used."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from pipelines.registry import POCKET_FOLDER
from tests.checkpoints import write_original
from tests.e2e.server import Server
from tests.e2e.test_look import CONTRAST, NAMELESS, SCREENSHOTS
from tests.e2e.visitor import Visitor
from tests.hub import Hub, serving
from tests.pipelines.lora.test_lora_file import halves, named, write
from tests.studio.services.test_verification_service import long_model


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
    expect(pocket.locator(".model-default")).to_have_text("Default")
    expect(pocket.get_by_role("button", name="Remove")).to_have_count(0)
    pocket.get_by_role("button", name="Verify Pocket").click()
    expect(pocket.locator(".model-verdict")).to_contain_text("files have their published sha256")
    fast = page.locator(".model[data-model=pocket-fast]")
    fast.get_by_role("button", name="Make default: Pocket fast").click()
    expect(fast.locator(".model-default")).to_have_text("Default")
    expect(pocket.locator(".model-default")).to_have_count(0)
    assert not person.overflows()
    assert page.evaluate(NAMELESS) == [] and page.evaluate(CONTRAST) == []
    if os.environ.get("STUDIO_SCREENSHOTS") == "1":
        expect(page.locator(".toast")).to_have_count(0)  # it would be caught half faded
        pocket.scroll_into_view_if_needed()
        page.screenshot(path=SCREENSHOTS / f"models-{'desktop' if width > 760 else 'phone'}-{colours}.png")
    distant.get_by_role("button", name="Use LTX-2").click()
    expect(page.locator("#field-model input")).to_have_value("LTX-2  ·  90 GB download")
    expect(page.locator("#field-model input")).to_be_visible()
    expect(page.locator("#field-prompt textarea")).to_have_value("a green cube in the rain")
    page.reload()
    expect(page.locator("#field-model input")).to_have_value("Pocket fast")
    expect(page.locator("#field-prompt textarea")).to_have_value("a green cube in the rain")
    page.get_by_role("tab", name="Models").click()
    expect(pocket.locator(".model-verdict")).to_contain_text("files have their published sha256")
    pocket.get_by_role("button", name="Make default: Pocket").click()
    expect(pocket.locator(".model-default")).to_have_text("Default")
    person.leave()


@pytest.mark.parametrize("width", [1440, 390])
def test_another_programs_folder_is_looked_through(browser: Browser, server: Server, tmp_path: Path, width: int) -> None:
    (tmp_path / "loras").mkdir()
    write(tmp_path / "loras" / f"glow{width}.safetensors", named("peft", halves(width)), {"trigger_words": "glow"})
    write_original(tmp_path / "film.safetensors")
    (tmp_path / "old.ckpt").write_bytes(b"\x80\x04K\x01.")
    person = Visitor(browser, server.url, width=width, height=844)
    person.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = person.page
    page.get_by_role("tab", name="Models").click()
    page.get_by_label("A folder of models").fill(str(tmp_path))
    page.get_by_role("button", name="Look", exact=True).click()
    expect(page.locator(".found-folder [role=status]")).to_contain_text("3 things with weights")
    expect(page.locator(".found-model[data-kind=refused]")).to_contain_text("It is a pickle")
    film = page.locator(".found-model[data-kind=transformer]")
    film.get_by_role("button", name="Copy the setting for film.safetensors").click()
    expect(page.locator(".toast").filter(has_text="Copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == film.locator("code").inner_text()
    assert str(tmp_path / "film.safetensors") in film.locator("code").inner_text()
    assert not person.overflows()
    assert page.evaluate(NAMELESS) == [] and page.evaluate(CONTRAST) == []
    page.get_by_role("button", name=f"Keep glow{width}.safetensors").click()
    expect(page.locator(".toast").filter(has_text="is kept")).to_be_visible()
    page.get_by_role("tab", name="Create").click()
    page.get_by_role("button", name="Add a style").click()
    expect(page.get_by_role("button", name=f"Add glow{width}", exact=True)).to_be_visible()
    page.get_by_role("button", name=f"Forget glow{width}").click()
    page.locator(".shelf").get_by_role("button", name="Done").click()
    person.expected = ("422",)
    page.get_by_role("tab", name="Models").click()
    page.get_by_label("A folder of models").fill(str(tmp_path / "nowhere"))
    page.get_by_role("button", name="Look", exact=True).click()
    expect(page.locator(".toast, .complaint").filter(has_text="does not exist")).to_be_visible()
    person.leave()


def test_a_model_is_installed_stopped_and_gone_on_with(browser: Browser, tmp_path: Path) -> None:
    with serving(Hub("Lightricks/LTX-2", POCKET_FOLDER, pause_s=0.4)) as hub:
        environment = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
        environment["STUDIO_MODELS"] = json.dumps({"long": str(long_model(tmp_path))})
        server = Server(tmp_path, environment)
        server.start()
        try:
            person = Visitor(browser, server.url, width=390, height=844)
            page = person.page
            page.get_by_role("tab", name="Models").click()
            distant = page.locator(".model[data-model='ltx-2']")
            distant.get_by_role("button", name="Install LTX-2", exact=True).click()
            go = distant.get_by_role("button", name="Install LTX-2 now")
            expect(go).to_be_disabled()
            distant.get_by_label("I accept the LTX-2 Community License").check()
            go.click()
            bar = distant.get_by_role("progressbar", name="Installing LTX-2")
            expect(bar).not_to_have_attribute("aria-valuenow", "0")
            assert not person.overflows()
            assert page.evaluate(NAMELESS) == [] and page.evaluate(CONTRAST) == []
            distant.scroll_into_view_if_needed()
            page.screenshot(path=tmp_path / "installing.png")
            distant.get_by_role("button", name="Stop installing LTX-2").click()
            expect(bar).to_have_count(0)
            expect(distant.locator(".model-state")).not_to_have_text("Here")
            hub.pause_s = 0
            distant.get_by_role("button", name="Install LTX-2", exact=True).click()
            distant.get_by_label("I accept the LTX-2 Community License").check()
            go.click()
            expect(distant.locator(".model-state")).to_have_text("Here")
            distant.get_by_role("button", name="Remove LTX-2", exact=True).click()
            asked = distant.get_by_role("group", name="Remove LTX-2")
            expect(asked).to_contain_text("has to be fetched again")
            assert not person.overflows()
            assert page.evaluate(NAMELESS) == [] and page.evaluate(CONTRAST) == []
            page.screenshot(path=tmp_path / "removing.png")
            asked.get_by_role("button", name="Keep it").click()
            expect(asked).to_have_count(0)
            distant.get_by_role("button", name="Remove LTX-2", exact=True).click()
            slow = page.locator(".model[data-model=long]")
            slow.get_by_role("button", name="Verify long").click()
            reading = slow.get_by_role("progressbar", name="Verifying long")
            expect(reading).not_to_have_attribute("aria-valuenow", "0")
            assert page.evaluate(NAMELESS) == [] and page.evaluate(CONTRAST) == []
            page.screenshot(path=tmp_path / "verifying.png")
            slow.get_by_role("button", name="Stop verifying long").click()
            expect(reading).to_have_count(0)
            asked.get_by_role("button", name="Remove LTX-2 now").click()
            expect(distant.locator(".model-state")).to_have_text("Not here")
            expect(page.locator(".toast").last).to_contain_text("are free again")
            person.leave()
        finally:
            server.stop()
