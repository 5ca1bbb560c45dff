"""Offsets of sound against picture on clips whose shift is known, and on soundtracks that belong to other clips."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.clip_io import Media, Sound
from pipelines.metrics.card import quality_card
from pipelines.metrics.catalogue import CONFIDENT
from pipelines.metrics.offset import LARGEST_S, Offset, contacts_of, of_curves, of_events, surest
from pipelines.metrics.selection import kind_of
from pipelines.metrics.temporal import changes
from pipelines.world import events, make_clip
from pipelines.world.scene import draw

RATE, SAMPLE_RATE, FRAMES = 12.0, 16_000, 25
A_FRAME_MS = 1000 / RATE


def clips(kind: str, count: int) -> list:
    rng, found = np.random.default_rng(5), []
    while len(found) < count:
        scene = draw(rng)
        if kind_of(scene) == kind:
            found.append((scene, make_clip(scene, size=64)))
    return found


def later(waveform: np.ndarray, frames: int) -> np.ndarray:
    count = round(frames / RATE * SAMPLE_RATE)
    return np.pad(waveform, (count, 0))[: len(waveform)] if count >= 0 else np.pad(waveform[-count:], (0, -count))


def card(frames: np.ndarray, waveform: np.ndarray) -> dict[str, float]:
    return quality_card(Media(frames, Sound(waveform[None], SAMPLE_RATE), RATE), None, None).measurements


@pytest.mark.parametrize("shift", [3, -2, 0])
def test_a_shift_is_read_to_a_frame_in_any_video(shift: int):
    found = [card(clip.frames, later(clip.waveform, shift)) for _, clip in clips("dance", 8)]
    sure = [each for each in found if each.get("sync.confidence", 0) >= CONFIDENT]
    assert len(sure) >= 6
    errors = [abs(each["sync.offset_ms"] - shift * A_FRAME_MS) for each in sure]
    assert np.median(errors) <= 20 and np.mean([error <= A_FRAME_MS for error in errors]) >= 0.8


def test_another_clips_sound_is_not_in_sync():
    shown = clips("dance", 5) + clips("impact", 5)
    foreign = [card(clip.frames, shown[index - 5][1].waveform) for index, (_, clip) in enumerate(shown)]
    assert np.mean([each.get("sync.confidence", 0) < CONFIDENT for each in foreign]) >= 0.8


def test_contacts_are_seen_without_readers():
    errors = []
    for scene, clip in clips("impact", 10):
        found = contacts_of([flow for flow, _, _ in changes(clip.frames)], RATE)
        truth = [impact.time_s for impact in events(scene, FRAMES / RATE).impacts if 0.3 < impact.time_s < 1.7]
        errors += [np.abs(found - time_s).min(initial=9.0) for time_s in truth]
    assert len(errors) >= 8 and np.mean([error <= 1 / RATE for error in errors]) >= 0.7  # by chance about a quarter
    still = [np.zeros((32, 32, 2), np.float32)] * 12
    assert len(contacts_of(still, RATE)) == len(contacts_of(still[:3], RATE)) == 0


def test_events_give_their_offset_and_random_ones_no_confidence():
    seen = np.array([0.2, 0.5, 1.1, 1.4, 1.9])
    found = of_events(seen, seen + 0.25, 2.1, RATE)
    assert found is not None and found.offset_s == pytest.approx(0.25, abs=0.011) and found.confidence >= 0.99
    rng = np.random.default_rng(3)
    chance = [of_events(seen, np.sort(rng.uniform(0, 2.1, 5)), 2.1, RATE) for _ in range(60)]
    assert np.mean([each is not None and each.confidence >= CONFIDENT for each in chance]) <= 0.15
    assert of_events(seen, seen[:1], 2.1, RATE) is None and of_events(seen[:0], seen, 2.1, RATE) is None


def test_curves_give_their_offset():
    curve = np.random.default_rng(2).uniform(0, 1, 40)
    found = of_curves(curve, np.roll(curve, 3), RATE)
    assert found is not None and found.offset_s == pytest.approx(3 / RATE, abs=0.03) and found.confidence >= 0.95
    assert of_curves(np.zeros(40), curve, RATE) is None and of_curves(curve, np.zeros(40), RATE) is None
    assert found.offset_s <= LARGEST_S


def test_looking_at_several_kinds_is_paid_for():
    found = surest({"impact": Offset(0.1, 0.97), "beat": Offset(0.3, 0.5)})
    assert found is not None and found.offset_s == 0.1 and found.confidence == pytest.approx(0.94)
    assert surest({}) is None
