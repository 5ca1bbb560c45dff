"""A prompt is read as it is written, and said more fully in a press; what was written is one press away again."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.server import Server
from tests.e2e.test_look import CONTRAST, NAMELESS
from tests.e2e.visitor import Visitor

KEPT = "() => JSON.parse(localStorage.getItem('studio.draft'))"


def test_chips_say_what_was_read_and_show_where(visitor: Visitor) -> None:
    page = visitor.page
    visitor.write("🎬 a red ball bouncing at night")
    chips = page.locator(".found")
    expect(chips).to_have_text(["colourred", "subjectball", "actionbouncing", "timenight"])
    expect(page.locator(".intents")).to_have_text("scene · action")
    chips.nth(1).click()
    chosen = "() => { const t = document.activeElement; return t.value.slice(t.selectionStart, t.selectionEnd) }"
    assert page.evaluate(chosen) == "ball"
    page.get_by_role("group", name="Instead of ball").get_by_role("button", name="star", exact=True).click()
    prompt = page.locator("#field-prompt textarea")
    expect(prompt).to_have_value("🎬 a red star bouncing at night")
    page.locator(".found[data-kind=colour]").click()
    page.get_by_role("group", name="Instead of red").get_by_role("button", name="Take it out").click()
    expect(prompt).to_have_value("🎬 a star bouncing at night")
    page.wait_for_function(f"() => !({KEPT})().original_prompt")
    for before in ("🎬 a red star bouncing at night", "🎬 a red ball bouncing at night"):
        page.locator(".enhance-undo").click()
        expect(prompt).to_have_value(before)
    expect(page.locator(".enhance-undo")).to_be_hidden()
    visitor.write("")
    expect(chips).to_have_count(0)
    expect(page.locator(".enhance-open")).to_be_hidden()


def test_a_chip_says_that_the_model_does_not_know_its_word(visitor: Visitor) -> None:
    page = visitor.page
    visitor.write("a red ball bouncing beside a castle at night")
    castle = page.locator(".found").filter(has_text="castle")
    expect(castle).to_have_attribute("title", "place: castle, which this model does not know")
    assert page.locator(".found[data-unknown]").count() == 1
    castle.click()
    expect(page.get_by_role("group", name="Instead of castle")).to_be_visible()
    visitor.photograph("prompt-swaps", page.locator("#composer"))
    visitor.write("a red ball bouncing at night")
    expect(page.locator(".found[data-unknown]")).to_have_count(0)


def test_an_enhanced_prompt_is_offered_used_kept_and_undone(visitor: Visitor) -> None:
    page = visitor.page
    prompt = page.locator("#field-prompt textarea")
    visitor.write("a red ball bouncing")
    page.locator(".enhance-open").click()
    page.get_by_role("menuitem", name="Sound").click()
    offer = page.locator(".offer")
    expect(offer.locator("ins")).to_have_text(", to drums")
    offer.get_by_role("button", name="Use it").click()
    expect(prompt).to_have_value("a red ball bouncing, to drums")
    expect(offer).to_be_hidden()
    page.wait_for_function(f"() => ({KEPT})().original_prompt === 'a red ball bouncing'")
    job = visitor.generate()
    assert job["request"]["original_prompt"] == "a red ball bouncing"
    page.locator("#cancel").click()
    page.get_by_role("button", name="Undo").click()
    expect(prompt).to_have_value("a red ball bouncing")
    page.wait_for_function(f"() => ({KEPT})().original_prompt === ''")


def test_what_was_written_first_stays_the_original_and_undo_goes_back_step_by_step(visitor: Visitor) -> None:
    page = visitor.page
    prompt, original = page.locator("#field-prompt textarea"), f"() => ({KEPT})().original_prompt"
    visitor.write("a red ball bouncing")
    steps = ["a red ball bouncing"]
    for strategy in ("Detail", "Sound"):
        page.locator(".enhance-open").click()
        page.get_by_role("menuitem", name=strategy).click()
        page.locator(".offer").get_by_role("button", name="Use it").click()
        expect(page.locator(".offer")).to_be_hidden()
        expect(prompt).not_to_have_value(steps[-1])
        page.wait_for_function(f"({original})() === 'a red ball bouncing'")
        steps.append(prompt.input_value())
    for before, kept in ((steps[1], steps[0]), (steps[0], "")):
        page.get_by_role("button", name="Undo").click()
        expect(prompt).to_have_value(before)
        page.wait_for_function(f"({original})() === {kept!r}")
    expect(page.get_by_role("button", name="Undo")).to_be_hidden()


def test_the_menu_works_from_the_keyboard(visitor: Visitor) -> None:
    page = visitor.page
    visitor.write("une balle rouge qui rebondit sur l'herbe")
    page.locator(".enhance-open").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Detail")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("menuitem", name="Shots")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".enhance-open")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".offer del")).to_have_text("une balle rouge qui rebondit sur l'herbe")
    expect(page.locator(".offer ins")).to_have_text("a red ball bouncing on grass")
    expect(page.locator(".offer").get_by_role("button", name="Use it")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#field-prompt textarea")).to_have_value("a red ball bouncing on grass")


def test_a_strategy_that_the_model_has_no_words_for_says_so(visitor: Visitor) -> None:
    page = visitor.page
    visitor.write("a red ball bouncing")
    page.locator(".enhance-open").click()
    expect(page.get_by_role("menuitem", name="Shots")).to_contain_text("Nothing to add for this model")
    expect(page.get_by_role("menuitem", name="Sound")).to_contain_text("What is heard")
    page.get_by_role("menuitem", name="Shots").click()
    expect(page.locator(".offer")).to_contain_text("makes a shot of each sentence")
    expect(page.locator(".offer").get_by_role("button", name="Use it")).to_have_count(0)


@pytest.mark.parametrize("colours", ["dark", "light"])
def test_it_fits_a_phone_and_can_be_read(browser: Browser, server: Server, colours: str) -> None:
    person = Visitor(browser, server.url, width=390, height=844, colours=colours)
    page = person.page
    person.write('a happy red fox runs in the snow at night, film noir, close-up, drums, says "hello there my friend"')
    expect(page.locator(".found").first).to_be_visible()
    page.locator(".enhance-open").click()
    assert not person.overflows()
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(NAMELESS) == []
    page.locator(".enhance-open").press("Escape")
    page.locator(".found[data-kind=subject]").first.click()
    expect(page.locator(".swaps")).to_be_visible()
    assert not person.overflows()
    assert page.evaluate(CONTRAST) == [] and page.evaluate(NAMELESS) == []
    page.locator(".enhance-open").click()
    page.get_by_role("menuitem", name="Detail").click()
    expect(page.locator(".offer")).to_be_visible()
    assert not person.overflows()
    assert page.evaluate(CONTRAST) == []
    person.leave()
