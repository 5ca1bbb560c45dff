"""How long a clip will take: scaled from what was measured, most of all from what is most alike."""

from __future__ import annotations

import pytest

from pipelines.contract import Clip, GenerationRequest
from pipelines.registry import ModelCatalogue
from studio.services.pace import run_of, seconds_for

CATALOGUE = ModelCatalogue.with_folders({})


def request(**fields: object) -> GenerationRequest:
    return CATALOGUE.complete(GenerationRequest(**{"prompt": "a red ball", "seed": 1, "num_inference_steps": 10} | fields))


def clip(asked: GenerationRequest, **seconds: float) -> str:
    made = Clip(
        path="x.mp4", request=asked, model_sha256="0" * 64, code_version="test", height=asked.height, width=asked.width,
        num_frames=asked.num_frames, frame_rate=asked.frame_rate, duration_s=asked.duration_s, has_video=True, has_audio=True,
        sample_rate=16000, size_bytes=1, stage_seconds=seconds, measurements={},
    )  # fmt: skip
    return made.model_dump_json(exclude={"path"})


def test_steps_and_pixels_scale_what_was_measured():
    runs = [run_of(clip(request(), denoise=2.0, decode=1.0))]
    assert seconds_for(request(num_inference_steps=20), runs) == pytest.approx(5.0)
    assert seconds_for(request(height=256, width=256), runs) == pytest.approx(12.0)
    unguided = {"guidance_scale": 1.0, "audio_guidance_scale": 1.0}
    assert seconds_for(request(**unguided), runs) == pytest.approx(2.0 / (2 if runs[0].work.branches == 2 else 1) + 1.0)


def test_the_most_alike_count():
    slow = [run_of(clip(request(), denoise=60.0, decode=1.0)) for _ in range(9)]
    quick = [run_of(clip(request(effort="fast"), denoise=1.0, decode=1.0)) for _ in range(9)]
    assert seconds_for(request(effort="fast"), [*slow, *quick]) == pytest.approx(2.0)
    assert seconds_for(request(), [*slow, *quick]) == pytest.approx(61.0)


def test_nothing_is_told_where_nothing_was_measured():
    assert seconds_for(request(), []) is None
    assert run_of(clip(request(), decode=1.0)) is None, "its denoising was kept from before"
