"""The quality card on clips with known faults, and its parts on signals with known answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.clip_io import Media, Sound, read_media, write_film
from pipelines.contract import GenerationRequest, InvalidRequest
from pipelines.metrics.card import quality_card
from pipelines.metrics.catalogue import BY_NAME, GROUPS, METRICS
from pipelines.metrics.ceiling import save
from pipelines.metrics.comparing import compared
from pipelines.metrics.difference import difference, write_difference
from pipelines.metrics.loudness import clipped, silence, sound_metrics
from pipelines.metrics.measuring import measured_file
from pipelines.metrics.picture import picture_metrics, sharpness
from pipelines.metrics.semantic import named, semantic_metrics
from pipelines.registry import ModelCatalogue
from pipelines.vocabulary import Vocabulary
from pipelines.world import Scene, make_clip
from pipelines.world.scene import Subject

RATE, SAMPLE_RATE = 12.0, 16_000
POCKET = ModelCatalogue.with_folders({}).get("pocket")
BOUNCE = Scene((Subject("ball", colour="red"),), "grass", "bouncing")


def sine(level: float, seconds: float = 3.0, rate: int = 48_000) -> Sound:
    return Sound((level * np.sin(2 * np.pi * 997 * np.arange(round(seconds * rate)) / rate))[None].astype(np.float32), rate)


def test_every_measurement_is_in_the_catalogue():
    clip = make_clip(BOUNCE, size=64)
    request = GenerationRequest(prompt="a red ball bouncing on grass")
    found = quality_card(Media(clip.frames, Sound(clip.waveform[None], SAMPLE_RATE), RATE), request, POCKET).measurements
    assert set(found) <= set(BY_NAME) and {metric.group for metric in METRICS} == set(GROUPS)
    assert {"temporal.warp_error", "picture.sharpness", "sound.lufs", "sync.impact_ms", "semantic.match"} <= set(found)
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert metric.definition and metric.source and metric.span[0] < metric.span[1]
        if metric.good and metric.fair:
            assert metric.fair[0] <= metric.good[0] < metric.good[1] <= metric.fair[1]


def test_lips_are_looked_at_where_a_voice_is_heard():
    said = []
    talker = Scene((Subject("monster"),), "room", "talking", voice="low")
    for scene, prompt in ((BOUNCE, "a red ball bouncing on grass"), (talker, "a monster talking")):
        clip = make_clip(scene, size=128)
        media = Media(clip.frames, Sound(clip.waveform[None], SAMPLE_RATE), RATE)
        said.append("sync.lip_ms" in quality_card(media, GenerationRequest(prompt=prompt), POCKET).measurements)
    assert said == [False, True]


def test_what_a_clip_lacks_is_absent():
    clip = make_clip(BOUNCE, size=64)
    film = quality_card(Media(clip.frames, None, RATE), None, None).measurements
    assert not [name for name in film if name.startswith(("sound.", "sync.", "semantic."))]
    tone = quality_card(Media(None, sine(0.1), None), None, None).measurements
    assert {name.partition(".")[0] for name in tone} == {"sound", "length"}
    one = quality_card(Media(clip.frames[:1], sine(0.1), RATE), None, None).measurements
    assert "picture.sharpness" in one and "temporal.flicker" not in one


def test_a_frozen_clip_has_no_dynamics_and_cannot_win():
    clip = make_clip(BOUNCE, size=128)
    frozen = quality_card(Media(np.repeat(clip.frames[:1], 25, axis=0), None, RATE), None, None).measurements
    moving = quality_card(Media(clip.frames, None, RATE), None, None).measurements
    assert frozen["temporal.dynamic_degree"] == 0 and moving["temporal.dynamic_degree"] > 0.05
    dynamics = BY_NAME["temporal.dynamic_degree"]
    assert dynamics.verdict(0.0) == "poor" and dynamics.verdict(moving["temporal.dynamic_degree"]) == "good"


def test_a_clip_that_fades_drifts():
    frames = make_clip(BOUNCE, size=64).frames
    faded = (frames * np.linspace(1, 0.4, len(frames))[:, None, None, None]).astype(np.uint8)
    clean, drifting = (
        quality_card(Media(each, None, RATE), None, None).measurements["temporal.drift"] for each in (frames, faded)
    )
    assert clean < 0.2 and drifting > 0.6


def test_blur_and_noise_lower_sharpness():
    import cv2

    luma = cv2.cvtColor(make_clip(BOUNCE, size=128).frames[0], cv2.COLOR_RGB2GRAY)
    blurred = [sharpness(cv2.GaussianBlur(luma, (0, 0), sigma)) for sigma in (1, 2, 4)]
    noise = np.random.default_rng(0).normal(0, 1, luma.shape)
    noisy = [sharpness((luma + sigma * noise).clip(0, 255).astype(np.uint8)) for sigma in (10, 20, 40)]
    for worse in (blurred, noisy):
        assert sharpness(luma) > worse[0] > worse[1] > worse[2]
    assert sharpness(np.full((64, 64), 90, np.uint8)) == sharpness(luma[:8, :8]) == 0


def test_exposure():
    frames = make_clip(BOUNCE, size=64).frames
    right, under, over = (picture_metrics(each) for each in (frames, frames // 40, 255 - frames // 60))
    assert right["picture.dark"] < 0.05 and right["picture.blown"] < 0.05
    assert under["picture.dark"] > 0.9 and BY_NAME["picture.dark"].verdict(under["picture.dark"]) == "poor"
    assert over["picture.blown"] > 0.9 and BY_NAME["picture.blown"].verdict(over["picture.blown"]) == "poor"


def test_loudness_of_a_known_sine():
    """A full-scale 997 Hz sine in one channel reads -3.01 LUFS (BS.1770-4)."""
    assert sound_metrics(sine(1.0))["sound.lufs"] == pytest.approx(-3.01, abs=0.1)
    assert sound_metrics(sine(0.1))["sound.lufs"] == pytest.approx(-23.01, abs=0.1)
    assert sound_metrics(sine(0.1, rate=16_000))["sound.lufs"] == pytest.approx(-23.01, abs=0.3)
    assert "sound.lufs" not in sound_metrics(sine(0.5, seconds=0.3))


def test_clipped_and_silent_sounds_are_found():
    assert clipped(sine(0.99).samples) == 0 and clipped(sine(1.0).samples) < 0.05
    cut = np.clip(sine(2.0).samples, -1, 1)
    assert clipped(cut) == pytest.approx(2 / 3, abs=0.02)  # |sin| is over a half for two thirds of the time
    assert sound_metrics(Sound(np.zeros((2, 48_000), np.float32), 48_000)) == {
        "sound.peak_dbfs": -120, "sound.clipped": 0, "sound.silence": 1
    }  # fmt: skip
    half = sine(0.3).samples.copy()
    half[:, half.shape[1] // 2 :] = 0
    assert silence(half, 48_000) == pytest.approx(0.5, abs=0.02)
    assert silence(np.zeros((1, 0), np.float32), 48_000) == 1


def test_a_prompt_names_concepts():
    words = Vocabulary(
        {
            "subject": {"ball": ("ball",), "bear": ("bear",), "teddy bear": ("teddy bear",)},
            "action": {"bouncing": ("bouncing", "hopping")},
        }
    )
    assert named("A teddy bear hops", words) == {"subject": ("teddy bear",), "action": ("bouncing",)}
    assert named("two balls bounced", words) == {"subject": ("ball",), "action": ("bouncing",)}
    assert named('a bear says "ball"', words) == {"subject": ("bear",)}
    assert named("rain", words) == {}


def test_meaning_is_the_share_of_what_was_asked():
    sure = {"subject": {"ball": 0.9, "cube": 0.1}, "colour": {"red": 0.2, "blue": 0.8}}
    found = semantic_metrics({"subject": ("ball",), "colour": ("red",), "tempo": ("fast",)}, sure)
    assert found == {"semantic.subject": 0.9, "semantic.colour": 0.2, "semantic.match": 0.5}
    assert semantic_metrics({"subject": ("cat",), "colour": ("red",)}, sure) == {}
    assert semantic_metrics({}, sure) == {}


def test_a_render_follows_its_own_prompt_and_no_other():
    media = Media(make_clip(BOUNCE, size=128).frames, None, RATE)
    own = quality_card(media, GenerationRequest(prompt="a red ball bouncing on grass"), POCKET).measurements
    other = quality_card(media, GenerationRequest(prompt="a blue star dancing at night"), POCKET).measurements
    assert own["semantic.match"] >= 0.75 and other["semantic.match"] <= 0.25


def test_a_file_is_measured_and_compared(tmp_path):
    clip = make_clip(BOUNCE, size=64)
    request = ModelCatalogue.with_folders({}).complete(GenerationRequest(prompt="a red ball bouncing on grass", seed=1))
    save(tmp_path / "a.mp4", clip.frames, clip.waveform, request)
    save(tmp_path / "b.mp4", np.repeat(clip.frames[:1], 25, axis=0), 0 * clip.waveform, request)
    here = measured_file(tmp_path / "a.mp4").measurements
    command = [sys.executable, "-m", "pipelines.metrics.measuring"]
    run = subprocess.run([*command, "compare", tmp_path / "a.mp4", tmp_path / "b.mp4", "--json"], capture_output=True, check=True)
    told = json.loads(run.stdout)
    assert {name: value for name, value in told["a"].items() if name != "length.card_s"} == {
        name: value for name, value in here.items() if name != "length.card_s"
    }
    assert told["better"]["temporal.dynamic_degree"] == "a" and told["better"]["sound.silence"] == "a"
    three = [tmp_path / name for name in ("a.mp4", "b.mp4", "a.mp4")]
    several = json.loads(subprocess.run([*command, "compare", *three, "--json"], capture_output=True, check=True).stdout)
    assert list(several) == ["a", "b", "c", "better"]
    assert several["better"]["temporal.dynamic_degree"] is None  # a and c are alike
    map_to = tmp_path / "map.mp4"
    subprocess.run([*command, "compare", *three[:2], "--map", map_to], capture_output=True, check=True)
    seen = read_media(map_to).frames.astype(int)
    one, two = (read_media(path).frames for path in three[:2])
    assert abs(seen - difference(one, two)).mean() < 5 and seen[0].mean() < 2 < seen[5:].mean()
    for arguments, says in ((three, "between two clips"), (three[:1], "compare two to 8")):
        refused = subprocess.run([*command, "compare", *arguments, "--map", map_to], capture_output=True, text=True, check=False)
        assert refused.returncode == 2 and says in refused.stderr
    with pytest.raises(InvalidRequest, match=r"map cannot be written to /proc/map\.mp4"):
        write_difference(three[:2], Path("/proc/map.mp4"))
    write_film(tmp_path / "odd.mp4", clip.frames[:, :62, :62], 12)
    write_film(tmp_path / "fast.mp4", clip.frames, 24)
    for other, says in (("odd.mp4", "one size; these are 64x64 and 62x62"), ("fast.mp4", "one frame rate; these have 12 and 24")):
        refused = subprocess.run(
            [*command, "compare", three[0], tmp_path / other, "--map", map_to], capture_output=True, text=True, check=False
        )
        assert refused.returncode == 2 and says in refused.stderr
    refused = subprocess.run([*command, "measure", tmp_path / "none.mp4"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "does not exist" in refused.stderr


def test_which_is_better():
    def best(name: str, *values: float) -> int | None:
        (row,) = compared([{name: value} for value in values])
        assert row.name == name and row.values == values
        return row.best

    assert best("sync.offset_ms", -20, 200) == 0 and best("sound.lufs", -30, -17) == 1
    assert best("picture.sharpness", 5, 5.01) is None and best("picture.sharpness", 5, 9, 5.01) == 1
    assert best("sync.offset_ms", 90, -20, 200) == 1 and compared([{"sync.offset_ms": 1}, {}]) == []
