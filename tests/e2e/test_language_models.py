"""A studio that was given an instruction model and a translator: the menu names them, and what they write can be used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from pipelines.prompting.enhancement import Model, Strategy
from pipelines.prompting.protection import protected
from pipelines.prompting.writing import _system
from pipelines.registry import ModelCatalogue
from tests.e2e.server import Server
from tests.e2e.test_look import CONTRAST, NAMELESS
from tests.e2e.visitor import Visitor
from tests.twins import instruction_twin, marian_twin

PROMPT = "a red ball bouncing"


@pytest.fixture(scope="module")
def gifted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A studio of its own, without workers: nothing is made here."""
    folder = tmp_path_factory.mktemp("gifted")
    spec = ModelCatalogue.with_folders({}).get("pocket")
    system = _system(Strategy.DETAIL, Model(spec.title, spec.vocabulary), protected(PROMPT, ()))
    enhancer = instruction_twin(folder / "fox-it", [(system, f"user prompt: {PROMPT}", "a red ball bouncing on grass at night")])
    translator = marian_twin(folder / "fr-en", [("une balle rouge", "a red ball")])
    running = Server(folder, enhancer=str(enhancer), translator=str(translator), language_device="cpu", workers="0")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def person(browser: Browser, gifted: Server) -> Iterator[Visitor]:
    visitor = Visitor(browser, gifted.url)
    yield visitor
    visitor.leave()


def test_the_one_who_writes_is_named_and_chosen(person: Visitor) -> None:
    page = person.page
    person.write(PROMPT)
    page.locator(".enhance-open").click()
    rules, model = page.get_by_role("menuitemradio", name="Rules"), page.get_by_role("menuitemradio", name="fox-it")
    expect(rules).to_have_attribute("aria-checked", "true")  # pocket knows certain words only
    model.click()
    expect(model).to_have_attribute("aria-checked", "true")
    expect(rules).to_have_attribute("aria-checked", "false")
    assert page.evaluate(CONTRAST) == [] and page.evaluate(NAMELESS) == []
    page.get_by_role("menuitem", name="Detail").click()
    offer = page.locator(".offer")
    expect(offer.locator("h4")).to_have_text("Detail, by fox-it")
    expect(offer.locator("ins")).to_have_text(" on grass at night")
    offer.get_by_role("button", name="Use it").click()
    expect(page.locator("#field-prompt textarea")).to_have_value("a red ball bouncing on grass at night")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#field-prompt textarea")).to_have_value(PROMPT)


def test_a_prompt_is_translated(person: Visitor) -> None:
    page = person.page
    person.write('une balle rouge "oh"')
    page.locator(".enhance-open").click()
    page.get_by_role("menuitem", name="Translate").click()
    offer = page.locator(".offer")
    expect(offer.locator("h4")).to_have_text("Translate, by fr-en")
    offer.get_by_role("button", name="Use it").click()
    expect(page.locator("#field-prompt textarea")).to_have_value('a red ball "oh"')
    page.wait_for_function("() => JSON.parse(localStorage.getItem('studio.draft')).original_prompt === 'une balle rouge \"oh\"'")


def test_a_failure_is_told_and_the_offer_closes(person: Visitor) -> None:
    page = person.page
    person.expected = ("422",)
    person.write("zwei Katzen tanzen in der Wüste")
    page.locator(".enhance-open").click()
    page.get_by_role("menuitem", name="Translate").click()
    expect(page.get_by_text("but the translator fr-en reads French")).to_be_visible()
    expect(page.locator(".offer")).to_be_hidden()
