"""Edits by a model that diffusers runs: Wan VACE's real classes fill the picture's holes, and everything else stays."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.clip_io import Media, read_media, read_origin
from pipelines.contract import Done, EditRequest, InvalidRequest, Progress
from pipelines.editing.holes import holes_of
from pipelines.editing.layout import Guide, Layout
from pipelines.editing.plan import EditPlan, Shape, Span, Window, plan_edit
from pipelines.editing.request import planned
from pipelines.edits import Dub, Extend
from pipelines.engine import Engine
from pipelines.registry import published_models
from tests.pipelines.models.families import CASES, Stand, stand_for
from tests.pipelines.models.test_sound_models import filmed

SOURCE, OTHER = "clip:" + "a" * 32, "clip:" + "b" * 32
FRAMES, RATE = 18, 12.0


@pytest.fixture(scope="module")
def vace(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    return stand_for(next(case for case in CASES if case.kind == "vace"), tmp_path_factory.mktemp("vace"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {SOURCE: filmed(folder / "1.mp4"), OTHER: filmed(folder / "2.mp4", seconds=1.0)}


def edited(vace: Stand, clips: dict[str, Path], path: Path, kind: str, **fields: Any) -> tuple[Media, list[Any], Engine]:
    engine = vace.engine()
    request = vace.catalogue.complete(
        EditRequest(prompt="a red ball", model="twin", seed=1, crf=8, source=SOURCE, edit={"kind": kind, **fields})
    )
    events = list(engine.run(request, path, clips))
    assert isinstance(events[-1], Done) and read_origin(path).request == events[-1].result.request
    return read_media(path), events, engine


def error(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - two.astype(int)).mean())


def stored(vace: Stand, pixels: np.ndarray) -> str:
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "PNG")
    name = hashlib.sha256(held.getvalue()).hexdigest()
    vace.media.mkdir(exist_ok=True)
    (vace.media / f"{name}.png").write_bytes(held.getvalue())
    return f"sha256:{name}"


def test_a_retake_makes_its_range_anew_and_keeps_the_rest_and_the_sound(vace, clips, tmp_path):
    source = read_media(clips[SOURCE])
    media, events, _ = edited(vace, clips, tmp_path / "r.mp4", "retake", start_s=0.5, end_s=1.0)
    assert [e.step for e in events if isinstance(e, Progress) and e.stage == "denoise"] == [0, 1, 2, 3]
    outside = [*range(6), *range(12, FRAMES)]
    assert max(error(media.frames[k], source.frames[k]) for k in outside) < 2
    assert min(error(media.frames[k], source.frames[k]) for k in range(6, 12)) > 8
    assert np.abs(media.sound.samples[:, 2000:40000] - source.sound.samples[:, 2000:40000]).mean() < 0.02


def test_a_region_stays_within_its_mask(vace, clips, tmp_path):
    source = read_media(clips[SOURCE])
    mask = np.zeros((64, 96), np.uint8)
    mask[32:, 48:] = 255
    media, _, _ = edited(vace, clips, tmp_path / "m.mp4", "region", start_s=0.0, end_s=1.5, mask=stored(vace, mask))
    assert (
        error(media.frames[:, :30], source.frames[:, :30]) < 2 < 8 < error(media.frames[:, 40:, 56:], source.frames[:, 40:, 56:])
    )


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_an_extension_is_new_and_silent(direction, vace, clips, tmp_path):
    source = read_media(clips[SOURCE])
    media, _, _ = edited(vace, clips, tmp_path / "e.mp4", "extend", seconds=0.5, direction=direction)
    kept = media.frames[:FRAMES] if direction == "forward" else media.frames[-FRAMES:]
    assert len(media.frames) == FRAMES + 6 and error(kept, source.frames) < 2
    samples = media.sound.samples
    silent = samples[:, -20000:] if direction == "forward" else samples[:, :20000]
    assert np.abs(silent).max() < 0.05 < np.abs(samples).max()


def test_keyframes_joins_and_loops_are_made(vace, clips, tmp_path):
    picture = np.full((64, 96, 3), (20, 200, 60), np.uint8)
    keyframes = [{"frame": 9, "image": stored(vace, picture)}]
    media, _, _ = edited(vace, clips, tmp_path / "k.mp4", "keyframes", keyframes=keyframes)
    assert error(media.frames[9], picture) < 3 < error(media.frames[0], picture)
    joined, _, _ = edited(vace, clips, tmp_path / "j.mp4", "join", other=OTHER, transition_s=0.5)
    assert len(joined.frames) == FRAMES + 6 + 12
    looped, _, _ = edited(vace, clips, tmp_path / "l.mp4", "loop", seam_s=0.5)
    assert len(looped.frames) == FRAMES


def test_what_it_is_given(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (10, 64, 96, 3), np.uint8)
    guide = Guide(rng.integers(0, 255, (64, 96, 3), np.uint8), 1.0)
    plan = EditPlan(Shape(64, 96, 10, RATE), Span(3, 7), window=Window(1, 13, 32, 48))
    holes = holes_of(Layout(frames, None, guides={5: guide}), plan, 4)
    made = [bool(each.all()) for each in holes.mask]
    assert made == [False, False, True, True, False, True, *[False] * 3, *[True] * 4] and holes.frames.shape == (13, 32, 48, 3)
    assert (holes.frames[holes.mask] == 128).all() and not (holes.frames[0] == 128).all()
    region = np.zeros((10, 64, 96), np.float32)
    region[:, :, :33] = 1
    within = holes_of(Layout(frames, None, region), plan, 4).mask[2]
    assert within[:, :17].all() and not within[:, 17:].any()
    nothing = holes_of(Layout(None, None), plan, 4)
    assert nothing.mask.all() and (nothing.frames == 128).all()


def test_what_it_cannot_do_is_said(vace):
    spec, shape = vace.catalogue.get("twin"), Shape(64, 96, FRAMES, RATE)
    told = plan_edit(Extend(seconds=1), shape, spec)
    assert told.audio.is_empty and told.notices == ("twin makes no sound: only the picture is made anew.",)
    with pytest.raises(InvalidRequest, match="twin makes no sound: choose another model for this edit") as refused:
        plan_edit(Dub(), shape, spec)
    assert refused.value.field == "model"
    timed = EditRequest(prompt="[0.0-0.5 s] a ball [0.5-1.0 s] a cube", model="twin", source=SOURCE, edit={"kind": "extend"})
    with pytest.raises(InvalidRequest, match="prompt says when things happen"):
        planned(vace.catalogue.complete(timed), [shape], vace.catalogue)
    able = {each.id for each in published_models() if each.edits and each.call}
    assert able == {"wan-2.1-vace-1.3b", "wan-2.1-vace-14b"}
