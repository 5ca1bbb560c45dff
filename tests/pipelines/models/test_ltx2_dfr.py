"""LTX-2.5's DFR on a tiny twin of its real classes: one pass or two, each as diffusers makes it, with one progress and sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, LTX2DFRPipeline
from diffusers.pipelines.ltx2.pipeline_ltx2_condition import LTX2VideoCondition
from diffusers.pipelines.ltx2.utils import STAGE_2_DISTILLED_SIGMA_VALUES
from PIL import Image

from pipelines.clip_io import read_media, read_origin
from pipelines.conditioning import cover
from pipelines.contract import Done, GenerationRequest, InvalidRequest, ModelNotFound, Progress
from pipelines.models.ltx2 import twin
from pipelines.models.ltx2.dfr import UPSAMPLER
from pipelines.registry import ModelCatalogue, published_models, spec_from_folder
from tests.pipelines.models.families import Case, Stand

SHAPE = {"height": 128, "width": 192, "num_frames": 25}


def stand_of(folder: Path, *, passes: int) -> Stand:
    parts = twin.build("2.5").components
    LTX2DFRPipeline(**parts).save_pretrained(folder / "twin")
    if passes == 2:
        twin.latent_upsampler().save_pretrained(folder / "twin" / UPSAMPLER)
    return Stand(Case("ltx2", "dfr", "LTX2DFRPipeline", ("words", "first_frame")), folder / "twin", folder / "media")


@pytest.fixture(scope="module", params=[1, 2], ids=["one pass", "two passes"])
def dfr(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Stand, int]:
    return stand_of(tmp_path_factory.mktemp("dfr"), passes=request.param), request.param


def asked(stand: Stand, **fields: Any) -> GenerationRequest:
    return stand.catalogue.complete(GenerationRequest(**{"prompt": "a red ball", "model": "twin", "seed": 1, **SHAPE, **fields}))


def made(stand: Stand, path: Path, request: GenerationRequest) -> tuple[Any, list[tuple[int, int]]]:
    engine = stand.engine()
    events = list(engine.run(request, path))
    assert isinstance(events[-1], Done) and read_origin(path).request == request
    (media,) = [media for media, _ in engine.cache._values.values() if hasattr(media, "frames")]
    return media, [(e.step, e.total) for e in events if isinstance(e, Progress) and e.stage == "denoise"]


def plain(stand: Stand, request: GenerationRequest, passes: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames and sound by diffusers' own pipeline, the passes composed as its documentation says."""
    pipeline = LTX2DFRPipeline.from_pretrained(stand.folder)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler.from_config(
        pipeline.scheduler.config, use_dynamic_shifting=False, shift_terminal=None
    )
    shape = {name: getattr(request, name) for name in ("height", "width", "num_frames", "frame_rate")}
    told: dict[str, Any] = {"prompt": request.prompt, "generator": torch.Generator("cpu").manual_seed(request.seed)}
    if request.first_frame:
        with Image.open(stand.media / f"{request.first_frame.removeprefix('sha256:')}.png") as image:
            told["conditions"] = [LTX2VideoCondition(frames=cover(image, request.height, request.width))]
    if passes == 1:
        clip = pipeline(**told, **shape, output_type="np")
        return clip.frames[0], clip.audio[0].numpy()
    half = shape | {"height": request.height // 2, "width": request.width // 2}
    first = pipeline(**told, **half, output_type="latent")
    network = twin.latent_upsampler()
    with torch.no_grad():
        frames = network(first.frames)
        keyframes = torch.cat([network(first.keyframes[:, :, k : k + 1]) for k in range(first.keyframes.shape[2])], dim=2)
        sound = pipeline.vocoder(pipeline.audio_vae.decode(first.audio, return_dict=False)[0])
    clip = pipeline(
        **told, **shape, latents=frames, keyframes_latents=keyframes, keyframe_positions=first.keyframe_positions,
        audio_latents=first.audio, sigmas=STAGE_2_DISTILLED_SIGMA_VALUES, output_type="np",
    )  # fmt: skip
    return clip.frames[0], sound[0, :, : clip.audio.shape[-1]].numpy()


@pytest.mark.parametrize("begins", ["words", "first frame"])
def test_it_is_what_diffusers_makes_of_it(dfr, begins, tmp_path):
    stand, passes = dfr
    request = asked(stand, **({"first_frame": stand.image()} if begins == "first frame" else {}))
    media, steps = made(stand, tmp_path / "clip.mp4", request)
    frames, sound = plain(stand, request, passes)
    assert media.frames.shape == (25, 128, 192, 3) and np.array_equal(media.frames, (frames * 255).round().astype(np.uint8))
    assert np.array_equal(media.sound.samples, sound) and media.sound.sample_rate == 24_000
    total = (8, 11)[passes - 1]
    assert steps == [(k, total) for k in range(total + 1)]
    clip = read_media(tmp_path / "clip.mp4")
    assert clip.frames.shape == (25, 128, 192, 3) and clip.frame_rate == 24.0 and clip.sound is not None


def test_the_seed_and_the_first_frame_count(dfr, tmp_path):
    stand, _ = dfr
    seen = [
        made(stand, tmp_path / f"{k}.mp4", asked(stand, **fields))[0].frames
        for k, fields in enumerate(({}, {}, {"seed": 2}, {"first_frame": stand.image()}))
    ]
    assert (seen[0] == seen[1]).all() and (seen[0] != seen[2]).any() and (seen[0] != seen[3]).any()


def test_closing_cancels_within_a_step_and_the_next_clip_is_whole(dfr, tmp_path):
    stand, _ = dfr
    engine, request = stand.engine(), asked(stand)
    events = engine.run(request, tmp_path / "clip.mp4")
    assert any(e.step == 2 for e in events if isinstance(e, Progress) and e.stage == "denoise")
    events.close()
    assert not list(tmp_path.iterdir())
    assert isinstance([*engine.run(request, tmp_path / "clip.mp4")][-1], Done)


def test_its_grid_and_what_it_has_no_use_for(dfr):
    stand, passes = dfr
    spec = stand.catalogue.get("twin")
    assert spec.pixel_multiple == 32 * passes and spec.begins_with == ("words", "first_frame")
    assert not spec.takes("guidance_scale") and not spec.takes("num_inference_steps") and not spec.takes("negative_prompt")
    for fields, says in (({"num_frames": 1}, "num_frames"), ({"height": 32 * passes + 16}, "height")):
        with pytest.raises(InvalidRequest, match=says):
            asked(stand, **fields)


def test_a_transformer_without_keyframes_is_refused(tmp_path):
    LTX2DFRPipeline(**twin.build("2.3").components).save_pretrained(tmp_path / "older")
    with pytest.raises(ModelNotFound, match="its transformer knows no keyframes"):
        spec_from_folder("older", tmp_path / "older")


def test_the_release_is_listed():
    spec = ModelCatalogue(published_models()).get("ltx-2.5-dfr")
    assert spec.source == "Lightricks/LTX-2.5-Diffusers" and not spec.is_silent and spec.defaults.num_inference_steps == 8
