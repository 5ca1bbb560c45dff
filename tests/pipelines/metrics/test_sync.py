"""Sync measures on clips whose truth is known: high on the truth, low when shifted, near chance with another clip's sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipelines.metrics.selection import kind_of
from pipelines.metrics.sync import (
    BEAT_TOLERANCE_S,
    area_under_curve,
    contacts,
    envelope,
    lip_sync,
    match_f1,
    motion_peaks,
    onsets,
)
from pipelines.world import Scene, events, make_clip
from pipelines.world.renderer import render
from pipelines.world.scene import draw
from pipelines.world.sounds import synthesize
from pipelines.world.speech import mouth_opening

RATE, FRAMES, SAMPLE_RATE = 12.0, 25, 16_000
DURATION_S = FRAMES / RATE
A_FRAME = 1 / RATE


def scenes(kind: str, count: int) -> list[Scene]:
    rng, found = np.random.default_rng(77), []
    while len(found) < count:
        scene = draw(rng)
        if kind_of(scene) == kind:
            found.append(scene)
    return found


def mean(pairs: list[tuple[np.ndarray, np.ndarray]], measure: Callable[[np.ndarray, np.ndarray], float]) -> float:
    return float(np.mean([measure(one, two) for one, two in pairs]))


def shuffled(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(one, other) for (one, _), (_, other) in zip(pairs, [*pairs[1:], pairs[0]], strict=True)]


def test_f1_matches_each_time_once():
    assert match_f1([1.0, 2.0], [1.02, 2.02], 0.05) == 1.0
    assert match_f1([1.0, 1.01], [1.0], 0.05) == pytest.approx(2 / 3)
    assert match_f1([0.96, 1.04], [1.0, 1.08], 0.05) == 1.0  # the first must not take what only the second can have
    assert match_f1([1.0], [1.2], 0.05) == 0.0
    assert match_f1([], [1.0], 0.05) == match_f1([], [], 0.05) == 0.0


def test_onsets_are_the_impacts():
    pairs, recalled = [], []
    for scene in scenes("impact", 40):
        truth = np.array(sorted({impact.time_s for impact in events(scene, DURATION_S).impacts}))
        found = onsets(synthesize(scene, DURATION_S, SAMPLE_RATE), SAMPLE_RATE)
        pairs.append((found, truth))
        recalled += [np.abs(found - time_s).min(initial=9.0) <= A_FRAME for time_s in truth]
    assert np.mean(recalled) >= 0.95
    assert mean(pairs, lambda found, truth: match_f1(found, truth, A_FRAME)) >= 0.95
    assert mean(pairs, lambda found, truth: match_f1(found + 3 * A_FRAME, truth, A_FRAME)) <= 0.15
    assert mean(shuffled(pairs), lambda found, truth: match_f1(found, truth, A_FRAME)) <= 0.45


def test_silence_and_noise_have_no_onsets():
    assert len(onsets(np.zeros(32_000, np.float32), SAMPLE_RATE)) == 0
    noise = 0.1 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    assert len(onsets(noise, SAMPLE_RATE)) <= 1


def test_contacts_are_placed_between_frames():
    truth = np.array([0.40, 1.13, 1.87])
    frames = np.arange(FRAMES)[:, None] - truth * RATE
    shows = np.exp(-0.5 * (frames / 0.7) ** 2).max(1).clip(1e-4, 1 - 1e-4)
    found = contacts(np.log(shows / (1 - shows)), RATE)
    assert np.abs(found - truth).max() < 0.02
    assert len(contacts(np.full(FRAMES, -4.0), RATE)) == 0


def test_motion_peaks_are_the_beats():
    pairs, true_beats = [], []
    for scene in scenes("dance", 24):
        heard = onsets(synthesize(scene, DURATION_S, SAMPLE_RATE), SAMPLE_RATE)
        pairs.append((motion_peaks(render(scene, FRAMES, RATE, 64), RATE), heard))
        true_beats.append((heard, np.array(events(scene, DURATION_S).beats_s)))
    assert mean(true_beats, lambda heard, beats: match_f1(heard, beats, BEAT_TOLERANCE_S)) >= 0.95
    assert mean(pairs, lambda seen, heard: match_f1(seen, heard, BEAT_TOLERANCE_S)) >= 0.85
    assert mean(pairs, lambda seen, heard: match_f1(seen, heard + 3 * A_FRAME, BEAT_TOLERANCE_S)) <= 0.5
    assert mean(shuffled(pairs), lambda seen, heard: match_f1(seen, heard, BEAT_TOLERANCE_S)) <= 0.5


def test_a_still_picture_has_no_motion_peaks():
    assert len(motion_peaks(np.full((FRAMES, 32, 32, 3), 90, np.uint8), RATE)) == 0


def test_lips_fit_their_speech_and_no_other():
    times_s = np.arange(FRAMES) / RATE
    pairs = []
    for scene in scenes("speech", 40):
        loudness = envelope(synthesize(scene, DURATION_S, SAMPLE_RATE), SAMPLE_RATE, RATE, FRAMES)
        pairs.append((mouth_opening(events(scene, DURATION_S).phonemes, times_s), loudness))
    assert mean(pairs, lambda mouth, heard: lip_sync(mouth, heard).holds) >= 0.95
    assert mean(pairs, lambda mouth, heard: lip_sync(mouth, heard).correlation) >= 0.85
    late = [lip_sync(mouth, np.roll(heard, 3)) for mouth, heard in pairs]
    assert np.mean([found.holds for found in late]) <= 0.1 and np.median([found.offset for found in late]) == 3
    assert mean(shuffled(pairs), lambda mouth, heard: lip_sync(mouth, heard).correlation) <= 0.25
    assert mean(shuffled(pairs), lambda mouth, heard: lip_sync(mouth, heard).holds) <= 3 / 11 + 0.15


def test_a_closed_mouth_is_in_sync_with_nothing():
    clip = make_clip(scenes("speech", 1)[0], size=32)
    found = lip_sync(np.zeros(FRAMES), envelope(clip.waveform, SAMPLE_RATE, RATE, FRAMES))
    assert found.offset is None and not found.holds and found.correlation == 0


def test_area_under_curve():
    assert area_under_curve([2, 3], [0, 1]) == 1.0
    assert area_under_curve([0, 1], [0, 1]) == 0.5
    with pytest.raises(ValueError):
        area_under_curve([], [1.0])


def test_controls_of_whole_files_are_near_chance(tmp_path):
    """Dances as files: measured through H.264 and AAC, the beat measure finds its own sound and no other."""
    from pipelines.contract import GenerationRequest
    from pipelines.metrics.ceiling import save
    from pipelines.metrics.reading import read_clip
    from pipelines.metrics.scores import ClipPair, agreement, control, sync_chance
    from pipelines.metrics.selection import Asked
    from pipelines.registry import ModelCatalogue

    pairs = []
    for index, scene in enumerate(scenes("dance", 10)):
        clip, asked, path = make_clip(scene, size=64), Asked(scene, "dance", index, False), tmp_path / f"{index}.mp4"
        request = ModelCatalogue.with_folders({}).complete(GenerationRequest(prompt=asked.prompt, seed=index))
        save(path, clip.frames, clip.waveform, request)
        pairs.append(ClipPair(asked, read_clip(path)))
    own, other, chance = (
        agreement(pairs, "beat alignment"),
        control(pairs, "beat alignment"),
        sync_chance(pairs, "beat alignment"),
    )
    assert own >= 0.8 and other is not None and other <= chance + 0.15
    assert control(pairs[:4], "beat alignment") is None
