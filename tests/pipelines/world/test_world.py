"""The procedural world: deterministic, and picture, sound and words say the same thing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace

import librosa
import numpy as np
import pytest

from pipelines.clip_io import read_media
from pipelines.world import Scene, Subject, caption, events, is_held_out, make_clip, sample, sample_held_out
from pipelines.world.drawings import COLOURS as PAINTS
from pipelines.world.export import RECORDS, export_clips
from pipelines.world.motion import poses
from pipelines.world.renderer import render, render_at, view
from pipelines.world.scene import SOUND_CLASSES, draw, from_record, sound_class
from pipelines.world.sounds import synthesize
from pipelines.world.words import (
    ACTIONS,
    CAMERAS,
    COLOURS,
    LOOKS,
    PLACES,
    SPRITES,
    SUBJECTS,
    TABLES,
    TALKERS,
    split_words,
    vocabulary,
)

DURATION_S = 25 / 12
BALL = Scene((Subject("ball", colour="red"),), "grass", "bouncing", phase=0.3)
MONSTER = Scene((Subject("monster", radius=0.29),), "room", "talking", voice="low", seed=5)


def scenes(count: int, start: int = 0) -> list[Scene]:
    return [draw(np.random.default_rng(start + index)) for index in range(count)]


def test_equal_scenes_give_equal_clips_and_come_back_from_their_record():
    for scene in scenes(6):
        one, two = make_clip(scene), make_clip(from_record(json.loads(json.dumps(asdict(scene)))))
        assert one.scene == two.scene and one.events == two.events
        assert np.array_equal(one.frames, two.frames) and np.array_equal(one.waveform, two.waveform)
        assert one.frames.shape == (25, 128, 128, 3) and one.waveform.shape == (round(DURATION_S * 16_000),)
        assert np.abs(one.waveform).max() <= 0.98


def test_the_world_is_large():
    assert len(SPRITES) >= 60 and len(TALKERS) >= 3 and len(PAINTS) == len(COLOURS) >= 10
    assert len(ACTIONS) >= 14 and len(PLACES) >= 12 and len(CAMERAS) >= 6 and len(LOOKS) >= 5
    assert set(SUBJECTS) == {subject.name for scene in scenes(3000) for subject in scene.subjects}


def test_training_never_sees_what_is_held_out():
    rng = np.random.default_rng(0)
    assert not any(is_held_out(sample(rng)) for _ in range(300))
    assert all(is_held_out(sample_held_out(rng)) for _ in range(50))
    share = np.mean([is_held_out(scene) for scene in scenes(2000)])
    assert 0.08 < share < 0.25, "enough to measure with, not so much that training starves"


@pytest.mark.parametrize("colour", PAINTS)
def test_the_shape_has_its_colour(colour):
    scene = replace(BALL, subjects=(Subject("ball", colour=colour),))
    pictures, covers = render_at(scene, np.array([0.0]), DURATION_S)
    inside = pictures[covers > 0.99].mean(0)
    assert min(PAINTS, key=lambda name: float(np.abs(inside - np.array(PAINTS[name])).sum())) == colour


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_another_one_and_subjects_stand_out_from_it(place):
    pictures, covers = render_at(replace(BALL, place=place, action="standing still"), np.array([0.0]), DURATION_S)
    assert 0.02 < (covers > 0.5).mean() < 0.15
    other = {name: render(replace(BALL, place=name), 1, 12.0)[0].astype(float) for name in PLACES if name != place}
    assert min(np.abs(pictures[0] - picture).mean() for picture in other.values()) > 12


@pytest.mark.parametrize("look", [look for look in LOOKS if look != "flat"])
def test_looks_change_the_whole_picture(look):
    plain, changed = (render(replace(BALL, look=name), 1, 12.0)[0].astype(float) for name in ("flat", look))
    assert np.abs(plain - changed).mean() > 3


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_camera_moves_as_it_says(camera):
    first, last = (view(replace(BALL, camera=camera), t, DURATION_S) for t in (0.0, DURATION_S))
    moves = [round(np.sign(round(value, 2))) for value in (last.x - first.x, last.scale - first.scale)]
    wanted = {"pan left": [-1, 0], "pan right": [1, 0], "zoom in": [0, 1], "zoom out": [0, -1]}
    if camera != "shake":
        assert moves == wanted.get(camera, [0, 0])
    frames = render(replace(BALL, camera=camera, action="standing still"), 25, 12.0).astype(float)
    assert (np.abs(frames[1:] - frames[:-1])[:, :40].mean() > 0.3) == (camera != "still"), "the sky moves when the camera does"


@pytest.mark.parametrize(
    ("action", "x", "y", "radius"),
    [
        ("drifting left", -1, 0, 0),
        ("drifting right", 1, 0, 0),
        ("rolling", 1, 0, 0),
        ("rising", 0, -1, 0),
        ("falling", 0, 1, 0),
        ("growing", 0, 0, 1),
        ("shrinking", 0, 0, -1),
        ("spinning", 0, 0, 0),
        ("standing still", 0, 0, 0),
    ],
)
def test_actions_move_as_they_say(action, x, y, radius):
    (first,), (last,) = poses(replace(BALL, action=action), np.array([0.0, DURATION_S]), DURATION_S)
    changes = ((first.x, last.x), (first.y, last.y), (first.radius, last.radius))
    assert [round(np.sign(round(b - a, 1))) for a, b in changes] == [x, y, radius]


def test_two_subjects_touch_when_they_collide():
    scene = Scene((Subject("fox", 0.16), Subject("cube", 0.15, colour="blue")), "snow", "colliding", period_s=0.8, phase=0.4)
    times = sorted({contact.time_s for contact in events(scene, DURATION_S).impacts})
    assert len(times) >= 2
    for left, right in poses(scene, np.array(times), DURATION_S):
        assert right.x - left.x == pytest.approx(left.radius + right.radius, abs=0.005)


@pytest.mark.parametrize("action", ["bouncing", "falling", "colliding"])
def test_an_onset_detector_finds_the_rendered_impacts(action):
    heard = wanted = 0
    for scene in scenes(1500):
        if scene.action == action and scene.sound == "natural":
            onsets = librosa.onset.onset_detect(y=synthesize(scene, DURATION_S), sr=16_000, hop_length=128, units="time")
            times = {contact.time_s for contact in events(scene, DURATION_S).impacts}
            wanted += len(times)
            heard += sum(bool(np.any(np.abs(onsets - time_s) <= 1 / 12)) for time_s in times)
    assert wanted > 30 and heard / wanted >= 0.95


def test_contacts_are_seen_when_they_are_heard():
    """The ball's lowest point, in pixels, falls on the frame nearest to the impact."""
    for phase in (0.1, 0.35, 0.8):
        scene = replace(BALL, phase=phase)
        _, covers = render_at(scene, np.arange(25) / 12, DURATION_S)
        middle = np.array([np.nonzero(cover.sum(1) > 1)[0].mean() for cover in covers])
        for contact in events(scene, DURATION_S).impacts:
            near = round(contact.time_s * 12)
            if 3 <= near < 22:
                assert middle[max(0, near - 1) : near + 2].max() >= middle[near - 3 : near + 4].max() - 0.5


def test_motion_peaks_on_the_beat():
    scene = Scene((Subject("bear"),), "stage", "dancing", sound="drums", period_s=0.6, phase=0.0)
    times = np.arange(0, DURATION_S, 0.005)
    speed = np.abs(np.diff([pose.angle for (pose,) in poses(scene, times, DURATION_S)]))
    for beat_s in events(scene, DURATION_S).beats_s:
        around = np.abs(times[:-1] - beat_s) < 0.25
        assert abs(times[:-1][around][speed[around].argmax()] - beat_s) < 0.02


def test_mouths_open_with_the_voice():
    frames = np.arange(25) / 12
    matched, shifted = [], []
    for seed in range(12):
        scene = replace(MONSTER, seed=seed)
        opening = events(scene, DURATION_S).mouth_opening(frames)
        loudness = np.sqrt(np.square(synthesize(scene, DURATION_S)[: 25 * 1333].reshape(25, -1)).mean(1))
        matched.append(np.corrcoef(opening, loudness)[0, 1])
        shifted.append(np.corrcoef(opening, np.roll(loudness, 6))[0, 1])
        _, covers = render_at(scene, frames, DURATION_S)
        assert covers.max() > 1.5, "a mouth counts twice"
    assert np.mean(matched) > 0.7 and np.mean(shifted) < 0.4


def test_silence_is_silent_and_every_sound_class_is_drawn():
    assert not synthesize(replace(BALL, sound="silence"), DURATION_S).any()
    assert {sound_class(scene) for scene in scenes(4000)} == set(SOUND_CLASSES)


def test_captions_say_what_is_there():
    rng = np.random.default_rng(0)
    known, lengths = set(vocabulary()), []
    for scene in scenes(600):
        plain, free = caption(scene), caption(scene, rng)
        for subject in scene.subjects:
            assert SUBJECTS[subject.name][0] in plain
        assert PLACES[scene.place][0] in plain
        said = split_words(free)
        assert set(said) <= known, set(said) - known
        lengths.append(len(said))
        for kind, present in (("place", scene.place), ("look", scene.look), ("camera", scene.camera)):
            others = [phrase for name, phrases in TABLES[kind].items() if name != present for phrase in phrases]
            own = TABLES[kind][present]
            wrong = [each for each in others if f" {each} " in f" {free.lower()} " and not any(each in mine for mine in own)]
            assert not [each for each in wrong if len(each.split()) > 1], f"{free!r} names {wrong}, but it is {present}"
    assert min(lengths) <= 2 and max(lengths) >= 25
    assert caption(BALL) == "a red ball bouncing on grass"
    assert caption(replace(BALL, subjects=(Subject("owl"),))).startswith("an owl ")


def test_a_folder_dataset_holds_everything_a_clip_was_made_of(tmp_path):
    files = list(export_clips(tmp_path / "one", 3, seed=4))
    list(export_clips(tmp_path / "two", 3, seed=4))
    records = [json.loads(line) for line in (tmp_path / "one" / RECORDS).read_text().splitlines()]
    assert (tmp_path / "two" / RECORDS).read_text() == (tmp_path / "one" / RECORDS).read_text()
    for path, record in zip(files, records, strict=True):
        scene = from_record({name: value for name, value in record["scene"].items() if name != "held_out"})
        assert record["text"] == caption(scene) and record["file_name"] == f"clips/{path.name}"
        assert len(record["events"]["mouth_opening"]) == 25 and record["sound_class"] == sound_class(scene)
        media = read_media(path)
        assert media.frames is not None and media.sound is not None and media.frames.shape == (25, 128, 128, 3)
        assert np.abs(media.frames.astype(float) - make_clip(scene).frames).mean() < 6


def test_a_dataset_that_cannot_be_written_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / RECORDS).touch()
    for folder, reason in (("file", "cannot be written to"), ("taken", "holds a dataset already")):
        command = [sys.executable, "-m", "pipelines.world", "--out", str(tmp_path / folder), "--clips", "1"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert asked.returncode == 2 and reason in " ".join(asked.stderr.replace("│", " ").split())
        assert "Traceback" not in asked.stderr
