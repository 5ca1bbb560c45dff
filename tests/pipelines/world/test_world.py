"""The procedural world: deterministic, and picture, sound and words say the same thing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.world import Scene, caption, impact_times, make_clip, sample
from pipelines.world.reading import read
from pipelines.world.renderer import background, render_frame
from pipelines.world.scene import ACTIONS, COLOURS, PLACES, SHAPES, pose
from pipelines.world.sounds import synthesize

BALL = Scene("ball", "red", "grass", "bouncing")


def test_equal_scenes_give_equal_clips():
    for seed in range(5):
        scene = sample(np.random.default_rng(seed))
        one, two = make_clip(scene), make_clip(scene)
        assert np.array_equal(one.frames, two.frames) and np.array_equal(one.waveform, two.waveform)
        assert one.frames.shape == (25, 128, 128, 3) and one.waveform.shape == (round(25 / 12 * 16_000),)
        assert np.abs(one.waveform).max() <= 0.98


@pytest.mark.parametrize("colour", COLOURS)
def test_the_shape_has_its_colour(colour):
    scene = replace(BALL, colour=colour)
    picture, mask = render_frame(scene, pose(scene, 0.0, 2.0))
    inside = picture[mask > 0.99].mean(0)
    nearest = min(COLOURS, key=lambda name: float(np.abs(inside - np.array(COLOURS[name])).sum()))
    assert nearest == colour


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_seen_in_every_place(shape, place):
    scene = replace(BALL, shape=shape, place=place, colour="blue")
    picture, mask = render_frame(scene, pose(scene, 0.0, 2.0))
    assert 300 < mask.sum() < 4000
    empty = background(place, 128) * 255
    assert np.abs(picture[mask > 0.99] - empty[mask > 0.99]).mean() > 20


@pytest.mark.parametrize(
    ("action", "x", "y", "radius"),
    [
        ("drifting left", -1, 0, 0),
        ("drifting right", 1, 0, 0),
        ("rising", 0, -1, 0),
        ("growing", 0, 0, 1),
        ("shrinking", 0, 0, -1),
        ("standing", 0, 0, 0),
    ],
)
def test_actions_move_as_they_say(action, x, y, radius):
    scene = replace(BALL, action=action)
    first, last = pose(scene, 0.0, 2.0), pose(scene, 2.0, 2.0)
    assert [round(np.sign(round(b - a, 1))) for a, b in ((first.x, last.x), (first.y, last.y), (first.radius, last.radius))] == [
        x,
        y,
        radius,
    ]


@pytest.mark.parametrize("action", ["bouncing", "dancing"])
@pytest.mark.parametrize("shape", SHAPES)
def test_impacts_are_heard_when_they_are_seen(action, shape):
    scene = replace(BALL, shape=shape, action=action, sound="natural")
    times = impact_times(scene, 2.0)
    assert len(times) >= 2
    lowest = [
        max(range(2000), key=lambda ms: pose(scene, ms / 1000, 2.0).y if abs(ms / 1000 - t) < 0.15 else -1) / 1000 for t in times
    ]
    assert np.allclose(lowest, times, atol=0.002)
    sound = synthesize(scene, 2.0)
    for t in times:
        at = round(t * 16_000)
        before, after = sound[max(0, at - 160) : at], sound[at : at + 160]
        assert np.square(after).mean() > 4 * np.square(before).mean()


def test_silence_is_silent_and_sounds_differ():
    assert not synthesize(replace(BALL, sound="silence"), 2.0).any()
    heard = {action: synthesize(replace(BALL, action=action), 2.0) for action in ACTIONS}
    assert all(np.abs(sound).max() > 0.05 for sound in heard.values())
    rising, shrinking = (np.abs(np.fft.rfft(heard[a][:8000])).argmax() for a in ("rising", "shrinking"))
    assert rising < shrinking  # half a second in, one is still low and the other still high


def test_captions_name_what_is_there():
    rng = np.random.default_rng(0)
    for seed in range(50):
        scene = sample(np.random.default_rng(seed))
        plain, free = caption(scene), caption(scene, rng).lower()
        assert scene.colour in plain and scene.shape in plain and scene.colour in free
    assert caption(BALL) == "a red ball bouncing on grass"
    assert caption(replace(BALL, colour="orange")).startswith("an orange ")


def test_reading_a_rendered_clip_finds_its_truth():
    right = {"place": 0, "colour": 0, "shape": 0, "action": 0, "sound": 0}
    for seed in range(24):
        scene = sample(np.random.default_rng(500 + seed))
        clip = make_clip(scene)
        found = read(clip.frames, clip.waveform, 16_000)
        for name in right:
            right[name] += getattr(found, name) == getattr(scene, name)
    assert min(right.values()) >= 22, right


def test_reading_an_empty_place_finds_nothing():
    empty = np.stack([(background("sea", 128) * 255).astype(np.uint8)] * 5)
    found = read(empty, np.zeros(16_000, np.float32), 16_000)
    assert (found.place, found.colour, found.shape, found.action, found.sound) == ("sea", None, None, None, "silence")
