"""What is told of a clip while it is denoised: known answers, what it may cost, and that a real run tells it."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from pipelines.contract import Done, GenerationRequest, Metric, Preview
from pipelines.engine import Engine
from pipelines.metrics.catalogue import LIVE
from pipelines.metrics.live import Live, words_at
from pipelines.nodes.denoise import _LOOK_COST, _Looks
from pipelines.registry import ModelCatalogue
from pipelines.world import Scene, make_clip
from pipelines.world.scene import Subject

RATE = 12.0
VOCABULARY = ModelCatalogue.with_folders({}).get("pocket").vocabulary


def moving(pixels: int) -> np.ndarray:
    """Two frames of blots that move ``pixels`` to the right."""
    grain = np.random.default_rng(3).integers(0, 255, (64, 96), np.uint8)
    wide = np.repeat(cv2.GaussianBlur(grain, (0, 0), 2)[..., None], 3, axis=2) * np.uint8(2)
    return np.stack([wide[:, 16:80], wide[:, 16 - pixels : 80 - pixels]])


def test_motion_is_as_fast_as_it_is():
    live = Live("anything", None, RATE)
    assert live.of(moving(0))["live.motion"] == pytest.approx(0, abs=0.01)
    assert live.of(moving(2))["live.motion"] == pytest.approx(2 * RATE / 64, rel=0.35)
    assert live.of(moving(4))["live.motion"] > live.of(moving(2))["live.motion"]
    assert set(live.of(moving(2)[:1])) == {"live.sharpness"}


def test_blur_lowers_sharpness():
    frames = make_clip(Scene((Subject("ball", colour="red"),), "grass", "bouncing"), size=64).frames[:2]
    values = [Live("", None, RATE).of(np.stack([cv2.GaussianBlur(f, (0, 0), s) for f in frames])) for s in (0.4, 1.5, 4.0)]
    assert values[0]["live.sharpness"] > values[1]["live.sharpness"] > values[2]["live.sharpness"]


def test_a_clip_matches_its_own_words_best():
    frames = make_clip(Scene((Subject("ball", colour="red"),), "grass", "bouncing"), size=64).frames[10:12]
    match = {
        words: Live(words, VOCABULARY, RATE).of(frames)["live.match"]
        for words in ("a red ball on grass", "a blue square at night")
    }
    assert match["a red ball on grass"] > 0.6 > 0.2 > match["a blue square at night"]
    assert "live.match" not in Live("qwerty", VOCABULARY, RATE).of(frames)


def test_a_time_stamped_prompt_is_compared_with_what_it_says_then():
    prompt = "at night [0.0-1.0 s] a red ball [1.0-2.0 s] a blue cube"
    assert words_at(prompt, 0.5) == "at night a red ball" and words_at(prompt, 9) == "at night a blue cube"
    assert words_at("a red ball", 0.5) == "a red ball"


@pytest.mark.parametrize(("look_s", "least"), [(0.0005, 8), (0.02, 2)])
def test_looks_that_cost_too_much_come_less_often(look_s: float, least: int):
    looks, began, spent = _Looks(0.05), time.perf_counter(), []
    for step in range(1, 61):
        time.sleep(0.01)
        if looks.is_due(step / 60):
            started = time.perf_counter()
            with looks.taken():
                time.sleep(look_s)
            spent.append(time.perf_counter() - started)
    assert len(spent) >= least
    assert len(spent) == 2 or sum(spent[1:]) <= _LOOK_COST * (time.perf_counter() - began) + max(spent)


def test_a_run_tells_its_curves_and_keeps_them_out_of_the_clip(catalogue, tmp_path):
    engine = Engine(catalogue, media_dir=tmp_path, device="cpu")
    request = catalogue.complete(GenerationRequest(prompt="a red ball", model="twin", seed=4))
    events = list(engine.run(request, tmp_path / "clip.mp4"))
    looks = [at for at, event in enumerate(events) if isinstance(event, Preview)]
    assert len(looks) >= 2
    for at in looks:
        assert [event.name for event in events[at + 1 : at + 3]] == ["live.sharpness", "live.motion"]
    told = {event.name for event in events if isinstance(event, Metric) and event.name.startswith("live.")}
    assert told <= {metric.name for metric in LIVE}
    assert isinstance(events[-1], Done)
    clip = events[-1].result
    assert not [name for name in {**clip.stage_seconds, **clip.measurements} if name.startswith("live.")]
