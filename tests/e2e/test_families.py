"""Models of other families as a person meets them: their cards, forms of what they can do, clips without sound or picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from pipelines.models.stableaudio3 import twin as stable_audio
from pipelines.models.wan import twin
from tests.e2e.server import Server
from tests.e2e.test_edit import edit, make_take
from tests.e2e.test_look import CONTRAST, NAMELESS
from tests.e2e.visitor import DONE_MS, Visitor

ONLY_OURS = (
    "modality",
    "loras",
    "first_frame",
    "last_frame",
    "effort",
    "stg_scale",
    "modality_scale",
    "sigmas",
    "guidance_method",
)
ALSO_THEIRS = ("negative_prompt", "num_inference_steps", "guidance_scale", "frame_rate", "quantization", "crf")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A studio with tiny twins of Wan, Wan VACE and Wan Animate beside its own model."""
    folders = {name: tmp_path_factory.mktemp("models") / name for name in ("tiny", "tiny-vace", "tiny-animate")}
    for folder, kind in zip(folders.values(), ("text", "vace", "animate"), strict=True):
        twin.build(kind).save_pretrained(folder)
    running = Server(tmp_path_factory.mktemp("foreign"), models=json.dumps({name: str(each) for name, each in folders.items()}))
    running.start()
    yield running
    running.stop()


@pytest.mark.parametrize(("width", "colours"), [(1440, "dark"), (390, "light")])
def test_a_model_without_sound_makes_a_clip(browser: Browser, foreign: Server, width: int, colours: str) -> None:
    person = Visitor(browser, foreign.url, width=width, height=900 if width > 760 else 844, colours=colours)
    page = person.page
    person.write("a red ball")
    page.get_by_role("tab", name="Models").click()
    card = page.locator(".model[data-model=tiny]")
    expect(card.locator(".model-facts")).to_contain_text("Picture, no sound")
    expect(card.locator(".model-fits")).to_contain_text("what a clip takes beyond is known once one of its size")
    card.scroll_into_view_if_needed()
    assert not person.overflows() and page.evaluate(NAMELESS) == [] and page.evaluate(CONTRAST) == []
    card.get_by_role("button", name="Use tiny").click()
    page.locator("#field-size input").fill("96 x 64")
    page.locator("#field-size input").blur()
    page.locator("#field-duration input[type=range]").fill("0.5625")
    person.set_steps(2)
    for name in ALSO_THEIRS:
        expect(page.locator(f"#field-{name}")).to_be_visible()
    for name in ONLY_OURS:
        expect(page.locator(f"#field-{name}")).to_be_hidden()
    assert not person.overflows() and page.evaluate(NAMELESS) == [] and page.evaluate(CONTRAST) == []
    clip = person.result_of(person.generate())
    assert clip["has_video"] and not clip["has_audio"] and (clip["width"], clip["height"]) == (96, 64)
    expect(page.locator(".screen video").first).to_be_visible(timeout=DONE_MS)
    expect(page.locator("#card")).to_contain_text("No sound.")
    page.get_by_role("tab", name="Models").click()
    page.locator(".model[data-model=pocket]").get_by_role("button", name="Use Pocket", exact=True).click()
    for name in ("modality", "loras", "first_frame", "last_frame", "effort"):
        expect(page.locator(f"#field-{name}")).to_be_visible()
    expect(page.locator("#field-lyrics")).to_be_hidden()
    expect(page.get_by_label("Picture + sound")).to_be_checked()
    person.leave()


def test_another_model_makes_a_retake(browser: Browser, foreign: Server) -> None:
    person = Visitor(browser, foreign.url)
    page = person.page
    filmed = person.make_clip("a red ball bounces on grass")
    edit(person, filmed)
    page.locator(".edit-tools").get_by_role("button", name="Retake", exact=True).click()
    makers = page.get_by_label("Made by")
    expect(makers.locator("option[value=tiny-vace]")).to_be_attached()
    for none in ("tiny", "pocket"):
        expect(makers.locator(f"option[value={none}]")).to_have_count(0)
    makers.select_option("tiny-vace")
    page.locator(".edit textarea").fill("a blue cube")
    expect(page.locator(".edit-notices")).to_contain_text("tiny-vace makes no sound: only the picture is made anew.")
    assert not person.overflows() and page.evaluate(NAMELESS) == [] and page.evaluate(CONTRAST) == []
    take = make_take(person)
    assert take["request"]["model"] == "tiny-vace" and take["has_video"] and take["has_audio"]
    assert take["num_frames"] == filmed["num_frames"]
    person.leave()


def test_images_and_clips_are_shown_to_a_model_that_takes_them(browser: Browser, foreign: Server, tmp_path: Path) -> None:
    person = Visitor(browser, foreign.url)
    page = person.page
    filmed = person.make_clip("a red ball bounces on grass")
    field = page.locator("#field-references")
    expect(field).to_be_hidden()
    page.get_by_role("tab", name="Models").click()
    page.locator(".model[data-model=tiny-vace]").get_by_role("button", name="Use tiny-vace").click()
    expect(field).to_contain_text("up to 3 images and one clip")
    person.write("a red ball")
    page.locator("#field-size input").fill("96 x 64")
    page.locator("#field-size input").blur()
    page.locator("#field-duration input[type=range]").fill("0.5625")
    person.set_steps(2)
    person.expected = ("status of 422",)  # the browser notes the refused upload
    (tmp_path / "text.png").write_text("no picture")
    field.locator("input[type=file]").set_input_files(tmp_path / "text.png")
    expect(field.locator(".complaint")).to_contain_text("references is not a PNG, JPEG or WebP image")
    Image.new("RGB", (80, 60), (200, 40, 40)).save(tmp_path / "thing.png")
    field.locator("input[type=file]").set_input_files(tmp_path / "thing.png")
    expect(field.locator(".reference-tile[data-kind=image] img")).to_have_count(1)
    adding = field.get_by_role("button", name="Add a reference")
    adding.click()
    expect(field.get_by_role("menuitem").first).to_contain_text("An image")
    field.locator(f"[data-format='{filmed['id']}']").click()
    expect(field.locator(".reference-tile[data-kind=clip] img")).to_have_count(1)
    adding.click()
    expect(field.locator(f"[data-format='{filmed['id']}']")).to_have_count(0)
    page.keyboard.press("Escape")
    assert not person.overflows() and page.evaluate(NAMELESS) == [] and page.evaluate(CONTRAST) == []
    page.reload()
    expect(field.locator(".reference-tile")).to_have_count(2)
    job = person.generate()
    assert [each.partition(":")[0] for each in job["request"]["references"]] == ["sha256", "clip"]
    made = person.result_of(job)
    assert person.api(f"/clips/{made['id']}/family")["ancestors"] == [], "it follows the other and was not made from it"
    field.get_by_role("button", name="Remove reference 1").click()
    expect(field.locator(".reference-tile")).to_have_count(1)
    expect(field.locator(".reference-tile")).to_have_attribute("data-kind", "clip")
    person.leave()


def test_a_character_acts_in_the_roles_that_the_page_names(browser: Browser, foreign: Server, tmp_path: Path) -> None:
    person = Visitor(browser, foreign.url)
    page = person.page
    filmed = person.make_clip("a red ball bounces on grass")
    page.get_by_role("tab", name="Models").click()
    card = page.locator(".model[data-model=tiny-animate]")
    expect(card.locator(".model-facts")).to_contain_text("A character and its pose")
    card.get_by_role("button", name="Use tiny-animate").click()
    field = page.locator("#field-references")
    expect(field).to_contain_text("Clips in this order: pose, face, background, mask; the first is needed.")
    person.write("a red ball dances")
    page.locator("#field-size input").fill("96 x 64")
    page.locator("#field-size input").blur()
    person.set_steps(1)
    field.get_by_role("button", name="Add a reference").click()
    field.locator(f"[data-format='{filmed['id']}']").click()
    expect(field.locator(".reference-tile[data-kind=clip] .reference-role")).to_have_text("pose")
    person.expected = ("status of 422",)
    page.locator("#generate").click()
    expect(field.locator(".complaint")).to_contain_text("references needs an image and a clip for tiny-animate")
    Image.new("RGB", (80, 60), (200, 40, 40)).save(tmp_path / "character.png")
    field.locator("input[type=file]").set_input_files(tmp_path / "character.png")
    expect(field.locator(".reference-tile[data-kind=image] .reference-role")).to_have_text("character")
    assert not person.overflows() and page.evaluate(NAMELESS) == [] and page.evaluate(CONTRAST) == []
    job = person.generate()
    assert person.result_of(job)["num_frames"] == 77
    person.leave()


@pytest.fixture(scope="module")
def sounding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A studio with a tiny twin of Stable Audio 3 beside its own model."""
    folder = tmp_path_factory.mktemp("models") / "sound"
    stable_audio.build().save_pretrained(folder)
    running = Server(tmp_path_factory.mktemp("sounding"), models=json.dumps({"tiny-sound": str(folder)}))
    running.start()
    yield running
    running.stop()


def test_a_model_for_sound_alone_makes_a_sound_and_dubs_a_clip(browser: Browser, sounding: Server) -> None:
    person = Visitor(browser, sounding.url)
    page = person.page
    filmed = person.make_clip("a red ball bounces on grass")
    page.get_by_role("tab", name="Models").click()
    card = page.locator(".model[data-model=tiny-sound]")
    expect(card.locator(".model-facts")).to_contain_text("Sound alone")
    card.get_by_role("button", name="Use tiny-sound").click()
    for name in ("size", "frame_rate", "crf", *ONLY_OURS):
        expect(page.locator(f"#field-{name}")).to_be_hidden()
    person.write("soft drums")
    page.locator("#field-duration input[type=range]").fill("2")
    job = person.generate()
    heard = person.result_of(job)
    assert heard["has_audio"] and not heard["has_video"] and heard["duration_s"] == 2.0
    edit(person, filmed)
    page.locator(".edit-tools").get_by_role("button", name="Dub", exact=True).click()
    page.get_by_label("Made by").select_option("tiny-sound")
    page.locator(".edit textarea").fill("soft drums")
    expect(page.locator(".edit-notices")).to_contain_text("it does not see the picture")
    assert not person.overflows() and page.evaluate(NAMELESS) == [] and page.evaluate(CONTRAST) == []
    take = make_take(person)
    assert take["request"]["model"] == "tiny-sound" and take["request"]["edit"] == {"kind": "dub"}
    assert take["has_video"] and take["has_audio"] and take["num_frames"] == filmed["num_frames"]
    page.locator(".edit-tools").get_by_role("button", name="Retake", exact=True).click()
    expect(page.locator(".edit-notices")).to_contain_text("Makes a clip of")
    again = {"source": f"clip:{take['id']}", "edit": {"kind": "retake", "part": "video"}}
    assert person.api("/edits/plan", "POST", again)["request"]["model"] == "pocket"
    person.leave()
