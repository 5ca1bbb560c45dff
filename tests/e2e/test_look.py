"""How the page looks and reads: phone width, both colour schemes, names for everything, and the documentation's pictures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.server import ROOT, Server
from tests.e2e.visitor import Visitor

SCREENSHOTS = ROOT / "docs" / "screenshots"

NAMELESS = """() => [...document.querySelectorAll('button, input, textarea, select, a, video, [role=progressbar]')]
    .filter((each) => each.offsetParent && each.type !== 'hidden' && !each.closest('[aria-hidden=true]'))
    .filter((each) => !(each.innerText?.trim() || each.getAttribute('aria-label') || each.getAttribute('aria-labelledby')
        || each.title || each.labels?.length || each.placeholder))
    .map((each) => each.outerHTML.slice(0, 160))"""

MARKED = """() => [document.activeElement, document.activeElement.closest('.wrap, label')].filter(Boolean)
    .map((each) => getComputedStyle(each)).some((style) => style.outlineStyle !== 'none' || style.boxShadow !== 'none')"""

CONTRAST = """() => {
    const light = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
        .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const behind = (each) => { for (let at = each; at; at = at.parentElement) { const c = getComputedStyle(at).backgroundColor;
        if (!c.endsWith(', 0)') && c !== 'transparent') return c; } return 'rgb(255, 255, 255)'; };
    const parts = 'h1, h2, h3, p, dt, dd, small, code, .info-text, .caption span, .tab-container button, .button, ' +
        'textarea, input[type=text], input[type=number], input:not([type])';
    const text = (each) => each.value || each.innerText;
    return [...document.querySelectorAll(parts)]
        .filter((each) => each.offsetParent && text(each).trim() && !each.closest('[aria-hidden=true], .screen'))
        .map((each) => { const a = light(getComputedStyle(each).color), b = light(behind(each));
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text(each).slice(0, 40)]; })
        .filter(([ratio]) => ratio < 4.5);
}"""


@pytest.mark.parametrize("colours", ["dark", "light"])
def test_phone_width_has_no_sideways_scroll(browser: Browser, server: Server, colours: str) -> None:
    person = Visitor(browser, server.url, width=390, height=844, colours=colours)
    expect(person.page.locator("#generate")).to_be_in_viewport()
    assert not person.overflows()
    person.page.locator("#advanced > button").click()
    expect(person.page.locator("#field-guidance_scale")).to_be_visible()
    assert not person.overflows()
    person.open_library()
    assert not person.overflows()
    person.leave()


def test_a_clip_that_is_tapped_below_the_player_comes_into_view_and_plays(browser: Browser, server: Server) -> None:
    person = Visitor(browser, server.url, width=390, height=844)
    person.make_clip("a ball to tap on")
    person.page.locator(".strip .tile").filter(has=person.page.locator("img")).first.click()
    expect(person.page.locator(".screen video")).to_be_in_viewport(ratio=0.98)
    person.page.wait_for_function("() => document.querySelector('.screen video').currentTime > 0.3")
    person.leave()


def test_a_small_laptop_shows_player_action_and_queue_at_once(browser: Browser, server: Server) -> None:
    person = Visitor(browser, server.url, width=1024, height=768)
    for part in (".screen", "#generate", ".queue", ".strip"):
        expect(person.page.locator(part)).to_be_in_viewport(ratio=0.98)
    assert not person.overflows()
    person.leave()


@pytest.mark.parametrize("colours", ["dark", "light"])
def test_follows_the_system_and_the_toggle_overrules_it(browser: Browser, server: Server, colours: str) -> None:
    person = Visitor(browser, server.url, colours=colours)
    page = person.page
    brightness = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number).reduce((a, b) => a + b) / 3"
    assert (page.evaluate(brightness) > 128) == (colours == "light")
    assert page.evaluate(CONTRAST) == []
    page.get_by_role("button", name="Colours: as the system").click()  # to light
    assert page.evaluate(brightness) > 128
    page.get_by_role("button", name="Colours: light").click()
    assert page.evaluate(brightness) < 128
    page.reload()
    expect(page.get_by_role("button", name="Colours: dark")).to_be_visible()
    assert page.evaluate(brightness) < 128
    person.leave()


def test_everything_that_can_be_used_has_a_name_and_a_visible_focus(visitor: Visitor) -> None:
    page = visitor.page
    page.locator("#advanced > button").click()
    expect(page.locator("#field-guidance_scale")).to_be_visible()
    assert page.evaluate(NAMELESS) == []
    for name in page.locator("#advanced .info-text").all_inner_texts():
        assert len(name) > 10
    page.locator("#field-prompt textarea").focus()
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        page.wait_for_timeout(50)  # a held key repeats no faster, and Gradio's lists open a moment after the focus
        reached.add(page.evaluate("() => document.activeElement.closest('[id]')?.id"))
        page.wait_for_function(MARKED)
    assert {"field-model", "field-size", "field-first_frame"} <= reached or len(reached) > 8
    visitor.open_library()
    assert page.evaluate(NAMELESS) == []


def test_passing_the_model_by_keeps_what_was_set_and_choosing_another_does_not(visitor: Visitor) -> None:
    page = visitor.page
    page.locator("#advanced > button").click()
    steps, model = page.locator("#field-num_inference_steps input[type=number]").first, page.locator("#field-model input")
    steps.fill("11")
    steps.press("Tab")
    model.focus()
    page.wait_for_timeout(300)  # Gradio's list opens a moment after the focus
    page.keyboard.press("Tab")
    page.wait_for_timeout(1500)  # as long as an answer of the server would take
    assert steps.input_value() == "11" and model.input_value() == "Pocket"
    model.focus()
    expect(page.get_by_role("option", name="Pocket fast")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(steps).to_have_value("6")
    assert model.input_value() == "Pocket fast"


def test_writes_the_pictures_for_the_documentation(browser: Browser, server: Server) -> None:
    """Only on request, so that a test run leaves no changed files behind."""
    if os.environ.get("STUDIO_SCREENSHOTS") != "1":
        pytest.skip("STUDIO_SCREENSHOTS=1 writes docs/screenshots")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    first = Visitor(browser, server.url)
    expect(first.page.locator(".examples .chip").first).to_be_visible()
    for prompt in first.page.locator(".examples .chip").all_inner_texts():
        first.api("/jobs", "POST", {"kind": "generate", "prompt": prompt, "seed": 7})
    expect(first.page.locator(".queue-item").first).to_be_visible()
    expect(first.page.locator("#queue-pill")).to_have_text("Ready", timeout=600_000)
    first.leave()
    for colours in ("dark", "light"):
        for device, width, height in (("desktop", 1440, 900), ("phone", 390, 844)):
            _photograph(Visitor(browser, server.url, width=width, height=height, colours=colours), f"{device}-{colours}")


def _photograph(person: Visitor, name: str) -> None:
    page = person.page
    page.locator(".strip .tile").first.click()
    page.wait_for_function("() => document.querySelector('.screen video').currentTime > 0.8")
    page.locator(".screen video").evaluate("video => video.pause()")
    page.mouse.move(5, 5)
    page.wait_for_timeout(3500)  # until the player's own controls have faded
    _save(person, f"create-{name}.png")
    person.open_library()
    expect(page.locator(".library .clip").first).to_be_visible()
    page.wait_for_timeout(600)
    _save(person, f"library-{name}.png")
    person.leave()


def _save(person: Visitor, name: str) -> None:
    path: Path = SCREENSHOTS / name
    person.page.screenshot(path=path)
    assert path.stat().st_size > 10_000
