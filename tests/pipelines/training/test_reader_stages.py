"""The readers' training: every stage takes a step, and what is released can be trained on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.metrics.readers import PictureReader, SubjectReader, shown
from pipelines.training.reader_release import adopt_readers, release_readers, trained_readers
from pipelines.training.reader_stages import PictureReaderStage, SubjectReaderStage, reader_stage, vary, vary_sound
from pipelines.training.recipes import Optimization, Recipe, build_video_vae, pocket
from pipelines.training.trainer import Budget, train
from pipelines.world import Scene, Subject

CPU = torch.device("cpu")
SMALL: Recipe = replace(
    pocket(),
    picture_reader=Optimization(1e-3, 2),
    subject_reader=Optimization(1e-3, 2),
    sound_reader=Optimization(1e-3, 2),
    sync_reader=Optimization(1e-3, 2),
)


def test_stages_train_in_order_and_their_release_can_be_trained_on(tmp_path):
    runs, target, again = tmp_path / "runs", tmp_path / "readers", tmp_path / "again"
    with pytest.raises(FileNotFoundError):
        reader_stage("sync_reader", SMALL, runs, CPU, 0)
    for name in ("picture_reader", "subject_reader", "sync_reader", "sound_reader"):
        lines = list(train(reader_stage(name, SMALL, runs, CPU, 0), runs, Budget(steps=2), resume=False))
        assert lines[-1].steps == 2 and all(np.isfinite(value) for value in lines[-1].losses.values())
    target.mkdir()
    (target / "README.md").write_text("the card stays")
    accuracy = release_readers(SMALL, runs, target, clips=4)
    assert {"subject", "place", "sound class", "sync_auc"} <= set(accuracy) and all(
        0 <= value <= 1 for value in accuracy.values()
    )
    assert (target / "README.md").read_text() == "the card stays"
    assert json.loads((target / "accuracy.json").read_text())["clips"] == 4
    assert "accuracy.json" in json.loads((target / "sha256.json").read_text())
    adopt_readers(target, again)
    one, two = trained_readers(runs), trained_readers(again)
    torch.testing.assert_close(one.sync.settle.weight, two.sync.settle.weight, atol=1e-3, rtol=1e-2)


def test_some_of_the_clips_go_through_a_codec_where_there_is_one():
    torch.manual_seed(0)
    vae = build_video_vae(SMALL)
    for stage in (PictureReaderStage(PictureReader(), SMALL, 0, vae), SubjectReaderStage(SubjectReader(), SMALL, 0, vae)):
        assert torch.isfinite(stage.losses(0.0)["loss"])


def test_damage_keeps_shape_and_range():
    rng = np.random.default_rng(0)
    for _ in range(8):
        varied = vary(torch.rand(3, 3, 64, 64), rng)
        assert varied.shape == (3, 3, 64, 64) and varied.min() >= 0 and varied.max() <= 1
        sound = vary_sound(np.sin(np.arange(16_000) / 20).astype(np.float32), rng)
        assert sound.shape == (16_000,) and sound.dtype == np.float32 and np.isfinite(sound).all()


def test_colours_are_those_of_shapes_and_not_in_noir():
    ball, fox = Subject("ball", colour="red"), Subject("fox")
    scene = Scene((ball, fox), "grass", "bouncing")
    assert shown(scene, "subject") == ("ball", "fox") and shown(scene, "colour") == ("red",)
    assert shown(replace(scene, look="noir"), "colour") == () and shown(Scene((fox,), "sea", "rising"), "colour") == ()
    assert shown(Scene((ball, ball), "sea", "bouncing"), "subject") == ("ball",)
