"""Edits worked out before anything is decoded."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from pipelines.contract import EditRequest, InvalidRequest, parse_request
from pipelines.editing.plan import EditPlan, Shape, Span, plan_edit
from pipelines.edits import Edit, needs_model
from pipelines.registry import Defaults, ModelSpec

SPEC = ModelSpec(
    "m", "Model", "", "", "", "", Defaults(128, 128, 25, 12.0), frame_multiple=4, max_frames=49, max_side=256, min_side=64
)
CLIP = Shape(128, 128, 25, 12.0)
IMAGE = "sha256:" + "a" * 64
OTHER = "clip:" + "b" * 32


def edit(kind: str, **fields):
    return TypeAdapter(Edit).validate_python({"kind": kind, **fields})


def plan(kind: str, source: Shape = CLIP, other: Shape | None = None, **fields) -> EditPlan:
    return plan_edit(edit(kind, **fields), source, SPEC, other)


def test_a_retake_imagines_only_its_range_and_sees_what_is_around():
    found = plan("retake", start_s=1.0, end_s=1.5)
    assert found.shape == CLIP and found.video == found.audio == Span(12, 18)
    assert (found.window.start, found.window.num_frames) == (0, 25)
    assert plan("retake", start_s=1, end_s=1.5, part="audio").video.is_empty
    assert plan("retake", Shape(128, 128, 25, 12.0, has_audio=False), start_s=1).audio.is_empty


def test_the_window_lies_around_the_range_of_a_long_clip_on_the_models_grid():
    long = Shape(128, 128, 240, 12.0)
    found = plan("retake", long, start_s=10, end_s=11)
    assert found.window.num_frames % 4 == 1 and found.window.num_frames >= 25
    assert found.window.start < 120 and found.window.start + found.window.num_frames > 132
    end = plan("retake", long, start_s=19.5)
    assert end.window.start + end.window.num_frames == 240
    with pytest.raises(InvalidRequest, match=r"imagines 5.0 s; Model makes at most 4.1 s"):
        plan("retake", long, start_s=10, end_s=15)


def test_sizes_off_the_grid_are_named_and_brought_back():
    found = plan("retake", Shape(150, 600, 25, 12.0), start_s=1)
    assert (found.window.height, found.window.width) == (160, 256) and found.shape.width == 600
    assert "256x160" in found.notices[0] and "600x150" in found.notices[0]


@pytest.mark.parametrize(
    ("kind", "fields", "frames", "rate", "imagines"),
    [
        ("extend", {"seconds": 1}, 37, 12, True),
        ("extend", {"seconds": 1, "direction": "backward"}, 37, 12, True),
        ("loop", {"seam_s": 0.5}, 25, 12, True),
        ("dub", {}, 25, 12, True),
        ("visualise", {}, 25, 12, True),
        ("keyframes", {"keyframes": [{"frame": 3, "image": IMAGE}]}, 25, 12, True),
        ("region", {"mask": IMAGE}, 25, 12, True),
        ("interpolate", {"factor": 2}, 50, 24, False),
        ("speed", {"factor": 2}, 12, 12, False),
        ("trim", {"start_s": 0.5, "end_s": 1.5}, 12, 12, False),
        ("mute", {}, 25, 12, False),
        ("shift-sound", {"offset_s": 0.2}, 25, 12, False),
        ("crop", {"left": 0, "top": 0, "width": 64, "height": 32}, 25, 12, False),
        ("upscale", {"factor": 2}, 25, 12, False),
    ],
)
def test_what_each_edit_makes(kind, fields, frames, rate, imagines):
    found = plan(kind, **fields)
    assert (found.shape.num_frames, found.shape.frame_rate, found.window is not None) == (frames, rate, imagines)
    assert needs_model(edit(kind, **fields)) is imagines


def test_joining_counts_both_and_the_transition():
    other = Shape(64, 64, 48, 24.0)
    found = plan_edit(edit("join", other=OTHER), CLIP, SPEC, other)
    assert found.shape.num_frames == 25 + 6 + 24 and found.video == Span(25, 31)
    assert len(found.notices) == 2
    cut = plan_edit(edit("join", other=OTHER, transition_s=0), CLIP, SPEC, other)
    assert cut.window is None and cut.shape.num_frames == 49 and not needs_model(edit("join", other=OTHER, transition_s=0))


@pytest.mark.parametrize(
    ("kind", "fields", "source", "says"),
    [
        ("retake", {"start_s": 3}, CLIP, "the clip lasts 2.08 s"),
        ("retake", {"start_s": 1, "end_s": 9}, CLIP, "the clip lasts 2.08 s"),
        ("keyframes", {"keyframes": [{"frame": 25, "image": IMAGE}]}, CLIP, "after the clip's last frame, 24"),
        ("crop", {"left": 100, "top": 0, "width": 64, "height": 64}, CLIP, "the picture has 128x128"),
        ("crop", {"left": 0, "top": 0, "width": 63, "height": 64}, CLIP, "even numbers"),
        ("loop", {"seam_s": 2.0}, CLIP, "lasts only"),
        ("dub", {}, Shape(64, 64, 25, 12.0, has_video=False), "no picture"),
        ("visualise", {}, Shape(64, 64, 25, 12.0, has_audio=False), "no sound"),
        ("shift-sound", {"offset_s": 1}, Shape(64, 64, 25, 12.0, has_audio=False), "no sound"),
        ("retake", {"start_s": 1, "part": "audio"}, Shape(64, 64, 25, 12.0, has_audio=False), "does not have"),
        ("retake", {"start_s": 1, "end_s": 1.2}, Shape(128, 128, 200, 100.0), "Model works at 8 to 60"),
        ("upscale", {"factor": 4}, Shape(2048, 2048, 25, 12.0), "the most is 4096"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(kind, fields, source, says):
    with pytest.raises(InvalidRequest, match=says):
        plan(kind, source, **fields)


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "retake", "start_s": 2, "end_s": 1},
        {"kind": "retake", "start_s": -1},
        {"kind": "speed", "factor": 0},
        {"kind": "extend", "seconds": 1000},
        {"kind": "keyframes", "keyframes": []},
        {"kind": "keyframes", "keyframes": [{"frame": 1, "image": IMAGE}, {"frame": 1, "image": IMAGE}]},
        {"kind": "region", "mask": "../../etc/passwd"},
        {"kind": "join", "other": "clip:nothing"},
        {"kind": "explode"},
        {"kind": "interpolate", "factor": 3},
    ],
)
def test_operations_refuse_nonsense(body):
    with pytest.raises(ValidationError):
        TypeAdapter(Edit).validate_python(body)


def test_an_edit_is_a_request_and_comes_back_from_json():
    body = {"kind": "edit", "prompt": "a ball", "source": OTHER, "edit": {"kind": "retake", "start_s": 0.5, "end_s": 1.0}}
    request = parse_request(body)
    assert isinstance(request, EditRequest) and request.sources() == (OTHER,)
    assert parse_request(request.model_dump(mode="json")) == request
    with pytest.raises(InvalidRequest, match=r"end must come after"):
        parse_request(body | {"edit": {"kind": "retake", "start_s": 2, "end_s": 1}})
