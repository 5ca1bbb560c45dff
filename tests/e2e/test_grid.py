"""The grid tool as a person meets it: set up, told beforehand, watched, reloaded, cancelled, sorted, compared, kept, saved."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.server import Server
from tests.e2e.test_look import CONTRAST, NAMELESS, SCREENSHOTS
from tests.e2e.visitor import DONE_MS, Visitor

PROMPT = "a red ball bouncing on grass"


def open_tool(person: Visitor, prompt: str = PROMPT, steps: int = 2) -> Locator:
    """The panel, with nothing set up yet."""
    person.set_steps(steps)
    person.write(prompt)
    person.page.wait_for_function(
        "wanted => JSON.parse(localStorage.getItem('studio.draft') ?? '{}').prompt === wanted", arg=prompt
    )
    person.page.locator(".xy-open").click()
    panel = person.page.locator("dialog.xy")
    expect(panel.get_by_label("Vary across")).to_be_visible()
    return panel


def make(panel: Locator) -> None:
    expect(panel.locator(".xy-make")).to_be_enabled()
    panel.locator(".xy-make").click()
    expect(panel.locator(".xy-cell").first).to_be_visible()


def await_grid(panel: Locator) -> None:
    expect(panel.locator(".xy-cancel")).to_be_hidden(timeout=DONE_MS)


def newest(person: Visitor) -> dict[str, Any]:
    return dict(person.api(f"/grids/{person.api('/grids?limit=1')['grids'][0]['id']}"))


@pytest.fixture(scope="module")
def six(server: Server, browser: Browser) -> dict[str, Any]:
    """A finished grid of two guidances and three seeds, made by the API."""
    person = Visitor(browser, server.url)
    axes = [{"field": "guidance_scale", "values": [1, 4]}, {"field": "seed", "values": [11, 12, 13]}]
    made = person.api("/grids", "POST", {"request": {"prompt": PROMPT, "num_inference_steps": 4}, "axes": axes})
    give_up = time.monotonic() + DONE_MS / 1000
    while not all(cell["job"]["state"] == "done" for cell in made["cells"]):
        assert time.monotonic() < give_up
        time.sleep(0.5)
        made = person.api(f"/grids/{made['id']}")
    person.leave()
    return made


def show(person: Visitor, grid: dict[str, Any]) -> Locator:
    person.page.goto(f"{person.url}/#grid={grid['id']}")
    person.page.reload()
    panel = person.page.locator("dialog.xy")
    expect(panel.locator(".xy-cell")).to_have_count(len(grid["cells"]))
    return panel


def test_a_grid_is_set_up_made_and_outlives_a_reload(visitor: Visitor) -> None:
    panel = open_tool(visitor)
    panel.get_by_label("Values of Seed").fill("5, 6")
    panel.get_by_label("Vary down").select_option(label="Picture guidance")
    panel.get_by_label("Values of Picture guidance").fill("1, 4")
    expect(panel.locator(".xy-note")).to_contain_text("2 × 2 = 4 clips")
    assert visitor.page.evaluate(NAMELESS) == [] and visitor.page.evaluate(CONTRAST) == []
    make(panel)
    heads = panel.locator(".xy-table thead th[scope=col]"), panel.locator(".xy-table th[scope=row]")
    assert [head.all_inner_texts() for head in heads] == [["5", "6"], ["1", "4"]]
    visitor.page.reload()
    expect(panel.locator(".xy-cell")).to_have_count(4)
    other = visitor.tab()
    other.locator(".xy-open").click()
    other.get_by_label("Earlier grids").select_option(newest(visitor)["id"])  # it shows by itself only while it is made
    expect(other.locator("dialog.xy .xy-cell")).to_have_count(4)
    await_grid(panel)
    await_grid(other.locator("dialog.xy"))
    grid = newest(visitor)
    assert [cell["settings"] for cell in grid["cells"]] == [
        {"guidance_scale": scale, "seed": seed} for scale in (1.0, 4.0) for seed in (5, 6)
    ]
    assert {cell["job"]["request"]["num_inference_steps"] for cell in grid["cells"]} == {2}, "the rest is as the form says"
    expect(panel.locator(".xy-cell[data-state=done] .xy-numbers div")).to_have_count(12)
    expect(panel.locator(".xy-said")).to_have_text("4 clips")


def test_what_is_wrong_is_said_before_anything_is_made(visitor: Visitor) -> None:
    before = len(visitor.api("/grids")["grids"])
    panel = open_tool(visitor)
    visitor.expected = ("422", "413")
    note = panel.locator(".xy-note")
    panel.get_by_label("Vary across").select_option(label="Picture guidance")
    for values, words in (("1, 99", 'Picture guidance "99" cannot be made'), ("1, 1", "twice"), ("", "at least one value")):
        panel.get_by_label("Values of Picture guidance").fill(values)
        expect(note).to_contain_text(words)
        expect(panel.locator(".xy-make")).to_be_disabled()
    panel.get_by_label("Values of Picture guidance").fill("1, 2, 3, 4, 5, 6, 7, 8, 9")
    panel.get_by_label("Vary down").select_option(label="Seed")
    panel.get_by_label("How many seeds to draw").fill("9")
    panel.get_by_role("button", name="Draw").click()
    expect(note).to_contain_text("81 clips; use at most 64")
    panel.get_by_label("Vary down").select_option(label="Effort")
    panel.get_by_label("Values of Effort").get_by_role("button", name="balanced").click()
    expect(note).to_contain_text("4 × 9 = 36 clips")
    panel.get_by_label("Vary down").select_option(label="Prompt")
    expect(panel.get_by_label("Values of Prompt")).to_have_value(f"{PROMPT}\n")
    assert len(visitor.api("/grids")["grids"]) == before


def test_the_whole_group_is_cancelled(visitor: Visitor) -> None:
    panel = open_tool(visitor, "a ball that nobody waits for", steps=200)
    panel.get_by_label("Values of Seed").fill("1, 2, 3")
    make(panel)
    assert not visitor.overflows()
    inside = "form => [...form.children].every(each => each.getBoundingClientRect().right <= form.getBoundingClientRect().right)"
    panel.get_by_role("button", name="Close").click()
    expect(visitor.page.locator(".xy-open")).to_have_text("0/3")
    expect(visitor.page.locator("#cancel")).to_be_visible()
    assert visitor.page.locator("#actions").evaluate(inside)
    visitor.page.locator(".xy-open").click()
    panel.locator(".xy-cancel").click()
    await_grid(panel)
    assert [cell["job"]["state"] for cell in newest(visitor)["cells"]] == ["cancelled"] * 3
    expect(panel.locator(".xy-said")).to_have_text("0 of 3 clips")
    expect(panel.locator(".xy-state")).to_have_text(["cancelled"] * 3)
    panel.get_by_role("button", name="Make the missing").click()
    expect(panel.locator(".xy-cancel")).to_be_visible()
    expect(panel.locator(".xy-again")).to_be_hidden()
    assert {cell["job"]["state"] for cell in newest(visitor)["cells"]} <= {"queued", "running"}
    panel.locator(".xy-cancel").click()
    await_grid(panel)
    expect(panel.locator(".xy-again")).to_be_visible()


def test_best_of_n_keeps_the_best_by_itself(visitor: Visitor) -> None:
    panel = open_tool(visitor)
    panel.get_by_role("radio", name="Best of n").click()
    panel.get_by_label("Takes").fill("3")
    panel.get_by_label("keep the best by").select_option(label="Sharpness")
    expect(panel.locator(".xy-note")).to_contain_text("3 clips")
    make(panel)
    expect(visitor.page.locator(".toast")).to_contain_text("Kept as a favourite", timeout=DONE_MS)
    clips = [cell["job"]["result"] for cell in newest(visitor)["cells"]]
    sharpness = [clip["measurements"]["picture.sharpness"] for clip in clips]
    assert [clip["favourite"] for clip in clips] == [value == max(sharpness) for value in sharpness]
    expect(panel.locator(".xy-cell.best [aria-pressed=true][data-key=keep]")).to_have_count(1)


def test_sorted_coloured_kept_and_saved(visitor: Visitor, six: dict[str, Any]) -> None:
    panel = show(visitor, six)
    panel.get_by_label("Colour by").select_option(label="Sharpness")
    values = {cell["job"]["result"]["id"]: cell["job"]["result"]["measurements"]["picture.sharpness"] for cell in six["cells"]}
    best = max(values, key=lambda clip: values[clip])
    expect(panel.locator(".xy-cell.best")).to_have_attribute("data-clip", best)
    shares = panel.locator(".xy-cell").evaluate_all(
        "cells => cells.map(each => [each.dataset.clip, Number(each.style.getPropertyValue('--share'))])"
    )
    assert max(shares, key=lambda each: each[1]) == [best, 1] and min(share for _, share in shares) == 0
    panel.get_by_role("button", name="Best first").click()
    order = panel.locator(".xy-list .xy-cell").evaluate_all("cells => cells.map(each => each.dataset.clip)")
    assert order == sorted(values, key=lambda clip: -values[clip])
    panel.get_by_role("button", name="Keep the best").click()
    expect(visitor.page.locator(".toast")).to_contain_text("Kept as a favourite")
    assert visitor.api(f"/clips/{best}")["favourite"]
    with visitor.page.expect_download() as saved:
        panel.get_by_role("link", name="Save as PNG").click()
    assert saved.value.suggested_filename == f"grid-{six['id'][:8]}.png"


def test_a_cell_plays_opens_and_is_compared(visitor: Visitor, six: dict[str, Any]) -> None:
    panel = show(visitor, six)
    cells = panel.locator(".xy-cell")
    cells.nth(1).hover()
    expect(cells.nth(1).locator("video")).to_have_js_property("muted", True)
    cells.nth(2).hover()
    expect(cells.nth(1).locator("video")).to_have_count(0)
    cells.nth(2).locator(".xy-face").click()
    expect(cells.nth(2).locator("video")).to_have_js_property("muted", False)
    visitor.page.wait_for_function("() => document.querySelector('.xy-cell video')?.currentTime > 0")
    expect(panel.get_by_role("button", name="Compare", exact=True)).to_be_disabled()
    for at in (0, 1, 5):
        cells.nth(at).get_by_role("checkbox").check()
    panel.get_by_role("button", name="Compare 3").click()
    both = visitor.page.locator("dialog.compare")
    expect(both.locator("video")).to_have_count(3)
    assert both.locator("thead th").all_inner_texts() == ["", "A", "B", "C", "Best"]
    both.get_by_role("button", name="Close").click()
    cells.nth(4).get_by_role("button", name="Open in the player").click()
    expect(panel).to_be_hidden()
    clip = six["cells"][4]["job"]["result"]
    expect(visitor.page.locator(".screen video").first).to_have_attribute("src", clip["urls"]["file"])
    visitor.page.locator(".xy-open").click()
    expect(panel.locator(".xy-cell")).to_have_count(6)


def test_the_weight_of_a_style_is_varied(visitor: Visitor) -> None:
    lora = visitor.api("/loras")["loras"][0]
    visitor.page.locator(".styles-open").click()
    visitor.page.get_by_role("button", name=f"Add {lora['name']}").click()
    visitor.page.get_by_role("button", name="Done").click()
    visitor.page.wait_for_function("() => JSON.parse(localStorage.getItem('studio.draft') ?? '{}').loras?.length === 1")
    visitor.page.locator("#field-prompt textarea").fill("a red ball")
    visitor.set_steps(2)
    visitor.page.locator(".xy-open").click()
    panel = visitor.page.locator("dialog.xy")
    panel.get_by_label("Vary across").select_option(label=f"Weight of {lora['name']}")
    expect(panel.locator(".xy-note")).to_contain_text("3 clips")
    make(panel)
    await_grid(panel)
    grid = newest(visitor)
    assert [cell["job"]["request"]["loras"][0]["weight"] for cell in grid["cells"]] == [0, 0.5, 1]
    expect(panel.locator(".xy-where").first).to_have_text(f"Weight of {lora['name']} 0")


@pytest.mark.parametrize("colours", ["dark", "light"])
def test_a_grid_on_a_phone(browser: Browser, server: Server, six: dict[str, Any], colours: str) -> None:
    person = Visitor(browser, server.url, width=390, height=844, colours=colours)
    person.expected = ("status of 422",)  # a new grid without a prompt is told what it lacks, if it is looked at for long enough
    assert not person.overflows()
    expect(person.page.locator(".xy-open")).to_be_in_viewport()
    panel = show(person, six)
    expect(panel.locator(".xy-numbers div").first).to_be_visible()
    wide = "each => each.scrollWidth <= each.clientWidth"
    assert panel.locator(".xy-main").evaluate(wide) and not person.overflows()
    assert person.page.evaluate(NAMELESS) == [] and person.page.evaluate(CONTRAST) == []
    panel.get_by_role("button", name="New grid").click()
    expect(panel.get_by_label("Vary across")).to_be_visible()
    assert panel.locator(".xy-main").evaluate(wide)
    person.leave()


def test_pictures_for_the_guide(browser: Browser, server: Server, six: dict[str, Any]) -> None:
    """Written into ``docs/screenshots`` where ``STUDIO_SCREENSHOTS`` is set."""
    for name, width, height, colours in (("desktop-dark", 1440, 900, "dark"), ("phone-light", 390, 844, "light")):
        person = Visitor(browser, server.url, width=width, height=height, colours=colours)
        panel = show(person, six)
        panel.get_by_label("Colour by").select_option(label="Sharpness")
        _still(person.page)
        if os.environ.get("STUDIO_SCREENSHOTS"):
            person.page.screenshot(path=SCREENSHOTS / f"grid-{name}.png")
        person.leave()


def _still(page: Page) -> None:
    """Until every picture of the grid is there."""
    page.mouse.move(1, 1)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.xy-face img')].every(each => each.complete && each.naturalWidth)"
    )
