"""Styles on the page: added from the panel with their trigger words, weighed, compared, saved, imported, recalled, and used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from pipelines.lora.catalogue import ShippedLora, shipped
from tests.e2e.server import Server
from tests.e2e.test_look import CONTRAST, NAMELESS
from tests.e2e.visitor import Visitor
from tests.pipelines.lora.test_lora_file import halves, named, write

ONE: ShippedLora = next(lora for lora in shipped().values() if lora.base == "pocket")
ELSEWHERE: ShippedLora = next(lora for lora in shipped().values() if lora.base != ONE.base)
DRAFT = "() => JSON.parse(localStorage.getItem('studio.draft') ?? '{}').loras ?? []"


def prompt(page: Page) -> Locator:
    return page.locator("#field-prompt textarea")


def add(page: Page, name: str) -> None:
    """Open the panel, add a style, close it."""
    page.get_by_role("button", name="Add a style").click()
    page.get_by_role("button", name=f"Add {name}", exact=True).click()
    page.locator(".shelf").get_by_role("button", name="Done").click()


def slide(page: Page, label: str, value: float) -> None:
    page.get_by_label(label, exact=True).fill(str(value))


def test_a_shipped_style_is_added_weighed_and_goes_into_the_clip(visitor: Visitor) -> None:
    page = visitor.page
    word = ONE.trigger_words[0]
    visitor.write("a red ball bouncing on grass")
    add(page, ONE.name)
    expect(prompt(page)).to_have_value(f"{word}, a red ball bouncing on grass")
    expect(page.get_by_role("button", name=f"Take “{word}” out of the prompt")).to_be_visible()
    expect(page.locator(".words-note")).not_to_contain_text("does not know")
    slide(page, f"Weight of {ONE.name}", 0.75)
    page.locator(".style summary").click()
    slide(page, f"Sound of {ONE.name}", 0.5)
    slide(page, f"Up to step of {ONE.name}", 0.6)
    page.wait_for_function(f"() => ({DRAFT})()[0]?.end === 0.6")
    visitor.photograph("styles", page.locator("#composer"))
    visitor.set_steps(2)
    job = visitor.generate()
    use = {"lora": ONE.reference, "weight": 0.75, "video": 1.0, "audio": 0.5, "start": 0.0, "end": 0.6}
    assert job["request"]["loras"] == [use] and job["request"]["prompt"].startswith(word)
    visitor.await_clip()
    assert visitor.api("/clips")["clips"][0]["request"]["loras"] == [use]


def test_a_style_for_another_model_brings_its_model(visitor: Visitor) -> None:
    page = visitor.page
    visitor.write("a red ball bouncing on grass")
    page.get_by_role("button", name="Add a style").click()
    page.get_by_role("button", name=f"Add {ELSEWHERE.name}, with Pocket World").click()
    expect(page.get_by_role("button", name=f"{ELSEWHERE.name} is in use")).to_be_visible()
    page.locator(".shelf").get_by_role("button", name="Done").click()
    expect(page.locator(".style-fault")).to_have_count(0)
    visitor.set_steps(2)
    request = visitor.generate()["request"]
    assert request["model"] == ELSEWHERE.base and [use["lora"] for use in request["loras"]] == [ELSEWHERE.reference]
    assert request["prompt"] == f"{ELSEWHERE.trigger_words[0]}, a red ball bouncing on grass"
    visitor.await_clip()


def test_trigger_words_come_and_go_as_chips(visitor: Visitor) -> None:
    page = visitor.page
    word = ONE.trigger_words[0]
    visitor.write("a red ball")
    add(page, ONE.name)
    page.get_by_role("button", name=f"Take “{word}” out of the prompt").click()
    expect(prompt(page)).to_have_value("a red ball")
    page.get_by_role("button", name=f"Put “{word}” into the prompt").click()
    expect(prompt(page)).to_have_value(f"{word}, a red ball")
    page.get_by_role("button", name=f"Remove {ONE.name}").click()
    expect(prompt(page)).to_have_value("a red ball")
    expect(page.locator(".style, .style-word")).to_have_count(0)
    page.wait_for_function(f"() => ({DRAFT})().length === 0")


def test_enhancing_keeps_the_trigger_words(visitor: Visitor) -> None:
    page = visitor.page
    word = ONE.trigger_words[0]
    visitor.write("une balle rouge qui rebondit sur l'herbe")
    add(page, ONE.name)
    page.locator(".enhance-open").click()
    page.get_by_role("menuitem", name="Detail").click()
    page.locator(".offer").get_by_role("button", name="Use it").click()
    expect(prompt(page)).to_have_value(f"a red ball bouncing on grass, {word}")


def test_styles_outlive_the_page_and_come_back_with_a_clip(visitor: Visitor) -> None:
    page = visitor.page
    visitor.write("a blue cube")
    add(page, ONE.name)
    slide(page, f"Weight of {ONE.name}", 1.25)
    page.wait_for_function(f"() => ({DRAFT})()[0]?.weight === 1.25")
    page = visitor.tab()
    expect(page.get_by_label(f"Weight of {ONE.name}", exact=True)).to_have_value("1.25")
    visitor.set_steps(2)
    visitor.generate()
    visitor.await_clip()
    page.get_by_role("button", name=f"Remove {ONE.name}").click()
    expect(page.locator(".style")).to_have_count(0)
    page.get_by_role("button", name="Use these settings").first.click()
    expect(page.get_by_label(f"Weight of {ONE.name}", exact=True)).to_have_value("1.25")


def test_a_file_is_imported_compared_stacked_and_forgotten(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.page
    paths = [
        write(tmp_path / f"my style {seed}.safetensors", named("peft", halves(3)), {"trigger_words": f"glow{seed}"})
        for seed in (1, 2)
    ]
    page.get_by_role("button", name="Add a style").click()
    for at, path in enumerate(paths, start=1):
        page.get_by_label("Import a LoRA file").set_input_files(path)
        expect(page.locator(".style")).to_have_count(at)
    expect(page.locator(".shelf-card").filter(has_text="my style 1")).to_contain_text("glow1")
    page.get_by_label("Name of this stack").fill("two of mine")
    page.get_by_role("button", name="Save these styles").click()
    stack = page.locator(".shelf-stack").filter(has_text="two of mine")
    expect(stack).to_be_visible()
    page.locator(".shelf").get_by_role("button", name="Done").click()
    expect(page.locator(".styles-meter")).to_contain_text("push the same way")
    expect(page.get_by_role("meter", name="Conflict of the styles")).to_have_attribute("aria-valuenow", "100")
    page.get_by_role("button", name="Remove my style 1").click()
    expect(page.locator(".styles-meter")).to_be_hidden()
    page.get_by_role("button", name="Add a style").click()
    stack.get_by_role("button", name="two of mine", exact=True).click()
    expect(page.locator(".style")).to_have_count(2)
    stack.get_by_role("button", name="Forget the stack two of mine").click()
    expect(stack).to_have_count(0)
    page.get_by_role("button", name="Forget my style 2").click()
    expect(page.locator(".shelf-card").filter(has_text="my style 2")).to_have_count(0)
    page.locator(".shelf").get_by_role("button", name="Done").click()
    expect(page.locator(".style-fault")).to_contain_text("Import its file again")
    page.get_by_role("button", name="Remove A style that is not here").click()
    expect(page.locator(".style")).to_have_count(1)


def test_what_is_no_lora_is_refused_in_words(visitor: Visitor, tmp_path: Path) -> None:
    visitor.expected = ("422",)
    page = visitor.page
    (tmp_path / "bad.safetensors").write_bytes(b"\x80\x04K\x01.")
    page.get_by_role("button", name="Add a style").click()
    page.get_by_label("Import a LoRA file").set_input_files(tmp_path / "bad.safetensors")
    expect(page.locator(".toast, .complaint").filter(has_text="pickle")).to_be_visible()
    assert json.loads(page.evaluate(f"JSON.stringify(({DRAFT})())")) == []


@pytest.mark.parametrize("colours", ["dark", "light"])
def test_it_fits_a_phone_and_can_be_read(browser: Browser, server: Server, colours: str) -> None:
    person = Visitor(browser, server.url, width=390, height=844, colours=colours)
    page = person.page
    person.write("a red ball")
    page.get_by_role("button", name="Add a style").click()
    expect(page.locator(".shelf-card").first).to_be_visible()
    assert page.evaluate(NAMELESS) == [] and page.evaluate(CONTRAST) == []
    page.get_by_role("button", name=f"Add {ONE.name}", exact=True).click()
    page.locator(".shelf").get_by_role("button", name="Done").click()
    page.locator(".style summary").click()
    assert not person.overflows()
    assert page.evaluate(NAMELESS) == [] and page.evaluate(CONTRAST) == []
    person.leave()
