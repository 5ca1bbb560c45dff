"""Enlarging as a person meets it: a button for clips of models that have an upscaler, and none for those of others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser, Locator, expect

from pipelines.clip_io import read_media
from pipelines.models.ltx2 import twin
from pipelines.training.recipes import build_upscaler, pocket
from pipelines.training.upscaler_stage import write_upscaler
from tests.e2e.server import Server
from tests.e2e.visitor import DONE_MS, Visitor

SHAPE = {"height": 64, "width": 96, "num_frames": 9, "frame_rate": 12, "num_inference_steps": 2}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A studio with two tiny models, one of them with an upscaler that draws something of its own."""
    plain = tmp_path_factory.mktemp("models") / "plain"
    twin.build("2.3").save_pretrained(plain)
    sharp = shutil.copytree(plain, plain.with_name("sharp"))
    torch.manual_seed(0)
    upscaler = build_upscaler(pocket()).eval()
    torch.nn.init.normal_(upscaler.last.weight, std=0.02)
    write_upscaler(upscaler, sharp / "upscaler")
    running = Server(tmp_path_factory.mktemp("large"), models=json.dumps({"plain": str(plain), "sharp": str(sharp)}))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def person(browser: Browser, large: Server) -> Iterator[Visitor]:
    visitor = Visitor(browser, large.url)
    yield visitor
    visitor.leave()


def made(person: Visitor, model: str, **fields: Any) -> dict[str, Any]:
    body = {"kind": "generate", "prompt": f"a clip of {model}", "model": model, "stg_scale": 0, "audio_stg_scale": 0}
    return person.result_of(person.api("/jobs", "POST", {**body, **SHAPE, **fields}))


def enlarged(person: Visitor, source: dict[str, Any]) -> dict[str, Any]:
    """The newest take of a clip, once it is made."""
    for _ in range(100):
        jobs = [job for job in person.api("/jobs") if job["request"].get("source") == f"clip:{source['id']}"]
        if jobs:
            return person.result_of(jobs[0])
        person.page.wait_for_timeout(200)
    raise AssertionError("no take was asked for")


def in_library(person: Visitor, clip: dict[str, Any]) -> Locator:
    person.open_library()
    person.page.locator(f'.clip[data-clip="{clip["id"]}"]').get_by_role("button", name="Open clip").click()
    detail = person.page.locator("dialog.detail")
    expect(detail.locator("video")).to_be_visible()
    return detail


def test_a_clip_is_enlarged_from_the_player(person: Visitor, large: Server) -> None:
    clip = made(person, "sharp")
    person.page.locator(f'.tile[data-clip="{clip["id"]}"]').click()
    person.page.locator(".caption").get_by_role("button", name="Enlarge the clip").click()
    entry = person.page.get_by_role("menuitem", name="Enlarge 2x")
    expect(entry).to_contain_text("192 × 128")
    expect(entry).to_be_in_viewport(ratio=0.99)
    entry.click()
    expect(person.page.locator(".toast").first).to_contain_text("enlarged take is on its way")
    take = enlarged(person, clip)
    assert (take["width"], take["height"], take["request"]["edit"]) == (192, 128, {"kind": "upscale", "factor": 2})
    (path,) = (large.folder / "data" / "clips").rglob(f"{take['id']}.mp4")
    media = read_media(path)
    assert media.frames is not None and media.frames.shape == (9, 128, 192, 3) and media.sound is not None
    expect(person.page.locator(".caption-text")).to_contain_text("192 × 128", timeout=DONE_MS)


def test_four_times_from_the_library(person: Visitor) -> None:
    clip = made(person, "sharp", seed=2)
    detail = in_library(person, clip)
    detail.get_by_role("button", name="Enlarge the clip").click()
    person.page.get_by_role("menuitem", name="Enlarge 4x").click()
    take = enlarged(person, clip)
    assert (take["width"], take["height"]) == (384, 256)
    assert person.api(f"/clips/{clip['id']}/family")["edits"][0]["id"] == take["id"]


def test_the_edit_tab_has_it_as_a_tool(person: Visitor) -> None:
    clip = made(person, "sharp", seed=3)
    in_library(person, clip).get_by_role("button", name="Edit the clip").click()
    tools = person.page.get_by_role("navigation", name="Tools")
    tools.get_by_role("button", name="Enlarge").click()
    expect(person.page.locator(".edit-notices")).to_contain_text("192 × 128")
    person.page.get_by_role("button", name="Make it").click()
    take = enlarged(person, clip)
    expect(person.page.locator(f'.take[data-clip="{take["id"]}"]')).to_have_attribute("aria-current", "true", timeout=DONE_MS)
    expect(person.page.locator(".take").last).to_contain_text("Enlarge")


def test_other_models_offer_nothing_to_enlarge(person: Visitor) -> None:
    clips = made(person, "plain"), made(person, "sharp", modality="audio")
    for clip in clips:
        person.page.locator(f'.tile[data-clip="{clip["id"]}"]').click()
        expect(person.page.locator(".caption-text")).to_contain_text(clip["request"]["prompt"])
        person.page.wait_for_timeout(500)
        expect(person.page.get_by_role("button", name="Enlarge the clip")).to_have_count(0)
    detail = in_library(person, clips[0])
    person.page.wait_for_timeout(500)
    expect(detail.get_by_role("button", name="Enlarge the clip")).to_have_count(0)
    detail.get_by_role("button", name="Edit the clip").click()
    tools = person.page.get_by_role("navigation", name="Tools")
    expect(tools.get_by_role("button", name="Smoother")).to_be_visible()
    expect(tools.get_by_role("button", name="Enlarge")).to_have_count(0)


def test_on_a_phone_the_menu_is_whole(browser: Browser, large: Server) -> None:
    person = Visitor(browser, large.url, width=390, height=844)
    clip = made(person, "sharp", seed=4)
    person.page.locator(f'.tile[data-clip="{clip["id"]}"]').click()
    person.page.locator(".caption").get_by_role("button", name="Enlarge the clip").click()
    expect(person.page.get_by_role("menuitem", name="Enlarge 4x")).to_be_in_viewport(ratio=0.99)
    assert not person.overflows()
    person.page.keyboard.press("Escape")
    in_library(person, clip).get_by_role("button", name="Enlarge the clip").click()
    expect(person.page.locator("dialog.detail").get_by_role("menuitem", name="Enlarge 4x")).to_be_in_viewport(ratio=0.99)
    person.leave()
