"""The drift guard on clips with known faults: a cast, a blur, a jump; silent where nobody made anything, and at plain cuts."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.clip_io import Origin, read_media, write_clip
from pipelines.contract import GenerationRequest
from pipelines.editing.colour import matched
from pipelines.editing.plan import Shape, Span, imagined_frames, plan_edit
from pipelines.edits import Edit, Extend, Join, Loop, MatchColour, Mute, Retake
from pipelines.metrics.catalogue import BY_NAME
from pipelines.metrics.seams import seam_metrics
from pipelines.metrics.temporal import changes
from pipelines.registry import ModelCatalogue
from pipelines.world.renderer import render
from pipelines.world.scene import Scene, Subject, draw

RATE, SIZE, FRAMES = 12.0, 128, 25
NEW = Span(8, 16)
POCKET = ModelCatalogue.with_folders({}).get("pocket")


def drifting() -> np.ndarray:
    return render(Scene((Subject("ball", colour="red"),), "grass", "drifting right"), FRAMES, RATE, SIZE)


def seams(frames: np.ndarray, new: Span = NEW) -> dict[str, float]:
    return seam_metrics(frames, list(changes(frames)), RATE, (new.start, new.end))


def poor(found: dict[str, float]) -> set[str]:
    return {name for name, value in found.items() if BY_NAME[name].verdict(value) == "poor"}


def changed(frames: np.ndarray, change) -> np.ndarray:
    """``frames`` with the new ones replaced by what ``change`` makes of them."""
    result = frames.copy()
    result[NEW.start : NEW.end] = change(frames[NEW.start : NEW.end].astype(np.float32)).round().clip(0, 255).astype(np.uint8)
    return result


def test_a_clip_that_nobody_edited_has_no_drift() -> None:
    found = seams(drifting())
    assert found["seam.in_s"] == pytest.approx(8 / 12) and found["seam.out_s"] == pytest.approx(16 / 12)
    assert set(found) == {name for name in BY_NAME if name.startswith("seam.")} and not poor(found)


def test_a_cast_reads_as_large_as_it_is_and_only_as_colour() -> None:
    cast = np.array((14, 7, -21), np.float32)
    found = seams(changed(drifting(), lambda new: new + cast))
    one, two = (cv2.cvtColor(np.full((1, 1, 3), 128, np.float32) / 255 + each / 255, cv2.COLOR_RGB2LAB) for each in (0, cast))
    size = float(np.linalg.norm(two - one))
    assert poor(found) == {"seam.in_colour", "seam.out_colour"}
    for side in ("in", "out"):
        assert found[f"seam.{side}_colour"] == pytest.approx(size, rel=0.35)


def test_a_blur_is_a_loss_of_sharpness() -> None:
    blurred = seams(changed(drifting(), lambda new: np.stack([cv2.GaussianBlur(each, (0, 0), 3) for each in new])))
    assert poor(blurred) == {"seam.in_sharpness", "seam.out_sharpness"}
    assert blurred["seam.in_sharpness"] < 0.72 and blurred["seam.out_sharpness"] < 0.72


def test_a_thing_that_is_elsewhere_at_once_jumps() -> None:
    found = poor(seams(changed(drifting(), lambda new: np.roll(new, 12, axis=1))))
    assert {"seam.in_motion", "seam.out_motion"} <= found


def test_a_pan_that_freezes_jumps_though_its_edges_are_never_seen() -> None:
    wide = render(Scene((Subject("ball", colour="red"),), "forest", "standing still"), 1, RATE, 512)[0]
    pan = np.stack([wide[100:228, 14 * at : 14 * at + SIZE] for at in range(FRAMES)])
    assert not {name for name in poor(seams(pan)) if name.endswith("motion")}
    frozen = seams(changed(pan, lambda new: np.repeat(new[:1], len(new), axis=0)))
    assert frozen["seam.in_motion"] == pytest.approx(14 * RATE / SIZE, rel=0.2) and "seam.out_motion" in poor(frozen)


def test_faint_noise_is_no_drift() -> None:
    chance = np.random.default_rng(0)
    assert not poor(seams(changed(drifting(), lambda new: new + chance.normal(0, 3, new.shape))))


def test_false_alarms_are_rare(tmp_path: Path) -> None:
    """Seams at random places in rendered clips, as files: nearly all of them are left in peace."""
    chance, alarms, count = np.random.default_rng(5), 0, 20
    for _ in range(count):
        request = GenerationRequest(prompt="x", height=SIZE, width=SIZE, num_frames=FRAMES, frame_rate=RATE)
        write_clip(tmp_path / "a.mp4", render(draw(chance), FRAMES, RATE, SIZE), None, Origin(request, "", ""))
        frames = read_media(tmp_path / "a.mp4").frames
        assert frames is not None
        start = int(chance.integers(3, 11))
        alarms += bool(poor(seams(frames, Span(start, start + int(chance.integers(5, 12))))))
    assert alarms <= 4, "hardly more than one seam in twenty"


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (Retake(start_s=0.5, end_s=1.0), Span(6, 12)),
        (Retake(start_s=0.5, end_s=1.0, part="audio"), None),
        (Retake(), None),
        (Extend(seconds=0.5), Span(25, 31)),
        (Extend(seconds=0.5, direction="backward"), Span(0, 6)),
        (Loop(seam_s=0.5), Span(22, 3)),
        (Join(other="clip:" + 32 * "0", transition_s=0.5), Span(25, 31)),
        (Join(other="clip:" + 32 * "0", transition_s=0), None),
        (MatchColour(start_s=0.5, end_s=1.0), Span(6, 12)),
        (Mute(), None),
    ],
)
def test_where_the_new_frames_are(edit: Edit, expected: Span | None) -> None:
    """A plain cut is meant to jump, and a clip that is all new has no seam."""
    source = Shape(SIZE, SIZE, FRAMES, RATE)
    plan = plan_edit(edit, source, POCKET, source if isinstance(edit, Join) else None)
    assert imagined_frames(edit, plan) == expected


def test_a_seam_over_the_end_of_a_loop_is_found() -> None:
    frames = drifting()
    frames[22:] = frames[22:] // 2
    frames[:3] = frames[:3] // 2
    found = seams(frames, Span(22, 3))
    assert found["seam.in_s"] == pytest.approx(22 / 12) and found["seam.out_s"] == pytest.approx(3 / 12)
    assert {"seam.in_colour", "seam.out_colour"} <= poor(found)


@pytest.mark.parametrize(("start", "end"), [(8, 16), (0, 8), (16, 25)])
def test_matching_takes_a_cast_away_and_leaves_the_rest_as_it_was(start: int, end: int) -> None:
    frames = drifting()
    cast = frames.astype(np.float32)
    cast[start:end] = 0.85 * cast[start:end] + np.array((20, 8, -16), np.float32)
    cast = cast.round().clip(0, 255).astype(np.uint8)
    mended = matched(cast, start, end)
    kept = np.r_[0:start, end:FRAMES]
    assert np.array_equal(mended[kept], cast[kept])
    before, after = (float(np.abs(each[start:end].astype(int) - frames[start:end]).mean()) for each in (cast, mended))
    assert before > 10 and after < 4
    assert poor(seams(cast, Span(start, end))) and not poor(seams(mended, Span(start, end)))


def test_matching_a_clip_to_itself_changes_next_to_nothing() -> None:
    frames = drifting()
    assert np.abs(matched(frames, 8, 16).astype(int) - frames).max() <= 12
