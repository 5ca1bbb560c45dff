"""A prompt outside the model's world: the page says so, and what the model knows is one press away."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.server import Server
from tests.e2e.test_look import CONTRAST, NAMELESS
from tests.e2e.visitor import Visitor


def test_the_nearest_word_takes_the_place_of_the_unknown_one(visitor: Visitor) -> None:
    page = visitor.page
    prompt = page.locator("#field-prompt textarea")
    expect(page.locator(".words-link")).to_be_visible()
    visitor.write("a mountain bouncing at night")
    note = page.locator(".words-note")
    expect(note).to_contain_text("Pocket does not know “mountain”; nearest: snow.")
    expect(note).to_have_attribute("aria-live", "polite")
    note.get_by_role("button", name="snow").click()
    expect(prompt).to_have_value("a snow bouncing at night")
    expect(note).to_be_empty()
    expect(prompt).to_be_focused()
    page.wait_for_function("() => document.querySelector('#field-prompt textarea').selectionStart === 'a snow'.length")
    page.wait_for_function("() => JSON.parse(localStorage.getItem('studio.draft')).prompt === 'a snow bouncing at night'")


def test_a_model_that_knows_the_word_is_one_press_away(visitor: Visitor) -> None:
    page = visitor.page
    visitor.write("a cat rolling on a stage")
    note = page.locator(".words-note")
    expect(note).to_contain_text("Pocket World does: use Pocket World")
    note.get_by_role("button", name="use Pocket World").click()
    expect(page.locator("#field-model input")).to_have_value("Pocket World")
    expect(page.locator("#field-prompt textarea")).to_have_value("a cat rolling on a stage")
    expect(note).to_be_empty()


def test_a_prompt_in_another_language_is_sent_to_enhance(visitor: Visitor) -> None:
    note = visitor.page.locator(".words-note")
    visitor.write("ein roter Ball springt im Gras")
    expect(note).to_have_text("Pocket reads English; this looks like German. Enhance puts it into words that Pocket knows.")
    visitor.write("红色的球")
    expect(note).to_contain_text("this looks like Chinese")
    visitor.write("a red ball")
    expect(note).to_be_empty()


def test_article_capital_and_other_letters_around_the_word_stay_right(visitor: Visitor) -> None:
    page = visitor.page
    visitor.write("Coins meet 🎬 a bagel and an island. “A skyscraper!” 红色的球")
    note = page.locator(".words-note")
    expect(note).to_contain_text("“Coins” (nearest: circle), “meet”")
    expect(note).to_contain_text("and 1 more")
    for button in ("circle", "ring", "sea"):
        note.get_by_role("button", name=button, exact=True).click()
        expect(note.get_by_role("button", name=button, exact=True)).to_have_count(0)
    expect(page.locator("#field-prompt textarea")).to_have_value("Circle meet 🎬 a ring and a sea. “A skyscraper!” 红色的球")
    visitor.write("a bagel")
    note.get_by_role("button", name="ring").click()
    visitor.write("a peach ball")
    note.get_by_role("button", name="orange").click()
    expect(page.locator("#field-prompt textarea")).to_have_value("an orange ball")


def test_the_panel_lists_what_is_known_and_writes_it_into_the_prompt(visitor: Visitor) -> None:
    page = visitor.page
    visitor.write("a red")
    page.get_by_role("button", name="Words it knows").click()
    panel = page.get_by_role("dialog", name="Words that Pocket knows")
    panel.get_by_role("button", name="ball sphere, circle").click()
    expect(panel.locator(".lexicon-prompt")).to_have_text("a red ball")
    panel.get_by_role("button", name="to drums").click()
    expect(panel.locator(".lexicon-prompt")).to_have_text("a red ball, to drums")
    assert page.evaluate(NAMELESS) == []
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(page.locator("#field-prompt textarea")).to_have_value("a red ball, to drums")


def test_models_that_take_any_words_say_nothing(visitor: Visitor) -> None:
    page = visitor.page
    visitor.write("a mountain bouncing at night")
    expect(page.locator(".words-note")).to_contain_text("mountain")
    page.locator("#field-model input").click()
    page.get_by_role("option", name="LTX-2.3 distilled").click()
    expect(page.locator(".words")).to_be_hidden()


@pytest.mark.parametrize("colours", ["dark", "light"])
def test_it_fits_a_phone_and_can_be_read(browser: Browser, server: Server, colours: str) -> None:
    person = Visitor(browser, server.url, width=390, height=844, colours=colours)
    page = person.page
    person.write("an eagle, a wolf, xylographs and a kitchen in 红色的球 with 3d volcanoes")
    expect(page.locator(".words-note")).to_contain_text("more")
    assert not person.overflows()
    page.get_by_role("button", name="Words it knows").click()
    expect(page.locator(".lexicon-foot")).to_be_in_viewport(ratio=0.98)
    assert not person.overflows()
    assert page.evaluate(CONTRAST) == []
    page.locator(".lexicon").get_by_role("button", name="Done").click()
    expect(page.locator(".lexicon")).to_be_hidden()
    person.leave()
