"""The engine on two devices: the same clip, cancelled and left in between, and made again after a rank was lost."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch

from pipelines.clip_io import read_media
from pipelines.conditioning import encode_prompt
from pipelines.contract import DeviceLost, Done, GenerationRequest, InvalidRequest, Progress
from pipelines.engine import Engine
from pipelines.models.ltx2.load import load
from pipelines.optimize.parallel.devices import Devices
from pipelines.optimize.parallel.group import Group
from pipelines.registry import ModelCatalogue, spec_from_folder


@pytest.fixture
def engine(catalogue, tmp_path):
    made = Engine(catalogue, media_dir=tmp_path, device=Devices("cpu+cpu", "branches=2"))
    yield made
    if made._group:
        made._group.close()


def request_of(catalogue: ModelCatalogue, **fields) -> GenerationRequest:
    shape = {"height": 256, "width": 960, "num_frames": 9, "num_inference_steps": 3}
    return catalogue.complete(GenerationRequest(**({"prompt": "a bee", "model": "twin", "seed": 1} | shape | fields)))


def test_a_clip_is_what_one_device_makes_of_it(engine, catalogue, tmp_path):
    clips = {}
    for name, each in (("one", Engine(catalogue, media_dir=tmp_path, device="cpu")), ("two", engine)):
        *_, done = each.run(request_of(catalogue, crf=0), tmp_path / f"{name}.mp4")
        assert isinstance(done, Done)
        clips[name] = read_media(done.result.path)
    assert engine.ranks == 2 and engine._group.sent_bytes() > 0
    assert np.abs(clips["one"].frames.astype(int) - clips["two"].frames).mean() < 0.05
    one, two = (clips[name].sound.samples for name in ("one", "two"))  # AAC may decide otherwise for a difference of 1e-6
    assert np.linalg.norm(one - two) < 0.01 * np.linalg.norm(one)


def test_a_run_that_is_left_and_a_rank_that_is_lost(engine, catalogue, tmp_path):
    run = engine.run(request_of(catalogue, seed=2, num_inference_steps=30), tmp_path / "left.mp4")
    next(event for event in run if isinstance(event, Progress) and event.stage == "denoise" and event.step == 2)
    run.close()
    (lost,) = engine._group.pids()
    os.kill(lost, signal.SIGKILL)
    with pytest.raises(DeviceLost, match="rank 1 of 2 on cpu was ended by signal 9"):
        list(engine.run(request_of(catalogue, seed=3), tmp_path / "lost.mp4"))
    *_, done = engine.run(request_of(catalogue, seed=3), tmp_path / "again.mp4")
    assert isinstance(done, Done) and engine._group.pids() != (lost,)


def test_texts_are_read_on_a_device_of_their_own(catalogue, twin_folder, tmp_path):
    """Bit for bit, and nothing that reads texts is loaded beside the transformer."""
    spec = spec_from_folder("twin", twin_folder)
    group = Group(spec, ["cpu"], reader="cpu")
    try:
        model = load(spec, torch.device("cpu"), text_at_once_bytes=0)
        group.meet(model)
        made = group.encode("a bee").tensors()
        assert "text" not in vars(model)
        assert all(torch.equal(each, made[name]) for name, each in encode_prompt(model, "a bee").tensors().items())
        group.read_ahead(["a cat", "a dog", "a cat"])
        assert group._asked == ["a cat", "a dog"]
        group.encode("a cow")  # stands behind them, so they are there before it
        assert group._asked == [] and {*group._read} == {"a cat", "a dog"}
        made = group.encode("a dog").tensors()
        assert all(torch.equal(each, made[name]) for name, each in encode_prompt(model, "a dog").tensors().items())
        assert {*group._read} == {"a cat"} and group._asked == []
    finally:
        group.close()
    elsewhere = Engine(catalogue, media_dir=tmp_path, device=Devices("cpu+cpu", "text"))
    try:
        request = request_of(catalogue, width=256)
        for name, each in (("one", Engine(catalogue, media_dir=tmp_path, device="cpu")), ("two", elsewhere)):
            *_, done = each.run(request, tmp_path / f"{name}.mp4")
            assert isinstance(done, Done)
        assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()
        coming = request_of(catalogue, width=256, prompt="a fox")
        elsewhere.expect([coming])
        list(elsewhere.run(request_of(catalogue, width=256, seed=5), tmp_path / "before.mp4"))
        asked = elsewhere._group._asked
        assert "a fox" in asked, "it is read while the clip before it is denoised"
        list(elsewhere.run(coming, tmp_path / "fox.mp4"))
        assert "a fox" not in asked and "a fox" not in elsewhere._group._read
        os.kill(elsewhere._group.pids()[0], signal.SIGKILL)
        with pytest.raises(DeviceLost, match="what reads texts on cpu was ended by signal 9"):
            list(elsewhere.run(request_of(catalogue, width=256, prompt="a cat"), tmp_path / "lost.mp4"))
    finally:
        elsewhere._group.close()


def test_the_width_of_both_transformer_and_text_encoder_is_shared_out(catalogue, tmp_path):
    """The clip is that of one process but for rounding; each rank holds half of the encoder's feed-forwards."""
    request = request_of(catalogue, width=256, crf=0)
    clips = []
    split = Engine(catalogue, media_dir=tmp_path, device=Devices("cpu+cpu", "tensor=2"))
    try:
        for name, each in (("one", Engine(catalogue, media_dir=tmp_path, device="cpu")), ("two", split)):
            *_, done = each.run(request, tmp_path / f"{name}.mp4")
            assert isinstance(done, Done)
            clips.append(read_media(tmp_path / f"{name}.mp4").frames.astype(int))
        assert abs(clips[0] - clips[1]).mean() < 0.05
        encoder = next(iter(split._loaded.values())).text.text_encoder
        held = [part.in_features for name, part in encoder.named_modules() if name.endswith("mlp.down_proj")]
        assert held == [encoder.config.get_text_config().intermediate_size // 2] * len(held) != []
    finally:
        split._group.close()


def test_off_works_alone_and_nonsense_is_refused(catalogue, tmp_path):
    alone = Engine(catalogue, media_dir=tmp_path, device=Devices("cpu+cpu", "off"))
    assert isinstance(list(alone.run(request_of(catalogue), tmp_path / "x.mp4"))[-1], Done) and alone.ranks == 1
    for devices, message in (
        (Devices("cpu+cpu", "ulysses=4"), "takes 4 devices, but device names 2"),
        (Devices("cuda:0+cpu"), "different GPUs by number"),
        (Devices("cpu", "text"), "needs a device for texts alone, but device names one"),
        (Devices("cpu+cpu+cpu", "text,ulysses=3"), "takes 3 devices, but device names 2"),
        (Devices("cuda:98+cuda:99"), "device names cuda:98 and cuda:99, but this machine has"),
        (Devices("cuda:98"), "device names cuda:98, but this machine has"),
    ):
        with pytest.raises(InvalidRequest, match=message):
            list(Engine(catalogue, media_dir=tmp_path, device=devices).run(request_of(catalogue), tmp_path / "x.mp4"))
