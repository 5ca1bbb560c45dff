"""What a release writes about itself, and the command that trains it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

from pipelines.metrics.evaluation import Report
from pipelines.metrics.figures import Figure
from pipelines.training.ahead import Ahead
from pipelines.training.card import model_card
from pipelines.training.cores import spread
from pipelines.training.recipes import pocket
from pipelines.training.stages import STAGES
from pipelines.world import make_clip
from pipelines.world.scene import draw


def test_the_model_card_tells_training_and_figures(tmp_path):
    (tmp_path / "transformer.json").write_text(json.dumps({"steps": 1234, "minutes": 56.7}))
    line = {"stage": "transformer", "minutes": 56.7, "steps": 1234, "losses": {"loss": 0.1234, "video": 0.1}}
    (tmp_path / "transformer.log.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "latents-7.pt").touch()
    figures = (
        Figure("subject", "share", model=0.5, ceiling=0.8, floor=0.7, target=0.95),
        Figure("flicker", "around one", model=1.02, floor=0.85),
    )
    report = Report("pocket", "abc", "0.1", 12, 0, "seeds 1 to 12", 3.0, figures, ())
    card = model_card(pocket(), "pocket-world", tmp_path, report, {"transformer": 6_450_000, "vae": 10_000_000})
    assert card.startswith("---\nlicense: apache-2.0") and "| all, in 16 bits | 32.9 MB |" in card
    assert "| `transformer` | 56.7 | 1234 | loss 0.123, video 0.1 |" in card and "latents 7" in card
    assert "# pocket-world" in card and "`python app.py evaluate --model pocket-world --clips 12 --seed 0`" in card
    assert "| subject | 0.50 | 0.80 | 0.62 | 0.70 | 0.95 | **below** |" in card
    assert "| flicker | 1.02 |  |  | 0.85 |  | holds |" in card


def test_an_unknown_stage_is_answered_with_those_there_are():
    asked = subprocess.run(
        [sys.executable, "-m", "pipelines.training", "pocket", "--stage", "nonsense"], capture_output=True, text=True, check=False
    )
    assert asked.returncode == 2
    assert all(name in asked.stderr for name in (*STAGES, "latents", "release", "adopt"))


def test_scenes_rendered_by_other_processes_are_the_same():
    scenes = [draw(np.random.default_rng(seed)) for seed in range(5)]
    here, there = spread(make_clip, scenes, workers=0), spread(make_clip, scenes, workers=2)
    for one, two in zip(here, there, strict=True):
        assert one.scene == two.scene and np.array_equal(one.frames, two.frames) and np.array_equal(one.waveform, two.waveform)


def test_batches_drawn_ahead_are_those_drawn_in_turn():
    def numbers(rng: np.random.Generator) -> list[int]:
        return [int(number) for number in rng.integers(0, 1000, 3)]

    plain, used = np.random.default_rng(5), np.random.default_rng(5)
    ahead = Ahead(used, numbers)
    assert [ahead.take() for _ in range(3)] == [numbers(plain) for _ in range(3)]
    stopped = used.bit_generator.state  # what a checkpoint holds: the batch that lies ready does not count
    resumed = np.random.default_rng()
    resumed.bit_generator.state = stopped
    assert Ahead(resumed, numbers).take() == numbers(plain) == ahead.take()
