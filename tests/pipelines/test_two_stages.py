"""Two stages of denoising with the real latent upsampler at tiny size: equal to diffusers' pipelines, and offered where it is."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import LTX2LatentUpsamplePipeline, LTX2Pipeline
from PIL import Image

from benchmarks.equality import NEGATIVE, PROMPT
from pipelines.clip_io import read_media, read_origin
from pipelines.contract import Done, GenerationRequest, InvalidRequest, Metric, ModelNotFound, Progress, parse_generation
from pipelines.editing.request import edit_request
from pipelines.engine import Engine
from pipelines.graph import execute
from pipelines.models.ltx2 import twin
from pipelines.models.ltx2.latents import Canvas, denormalize_audio, denormalize_video, pack_video, unpack_video
from pipelines.optimize.lessening import changes_of
from pipelines.optimize.memory import MemoryModel, Work, widths_of
from pipelines.registry import REFINE_SIGMAS, Defaults, ModelCatalogue, published_models, spec_from_folder
from pipelines.sampling import begun, noise, schedule
from pipelines.stages import in_two_stages

GATE = 1e-4
DEFAULTS = Defaults(height=128, width=128, num_frames=9, frame_rate=12.0, num_inference_steps=4)


@pytest.fixture(scope="module")
def folder(twin_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The twin of LTX-2.3 with a latent upsampler beside its other parts."""
    folder = tmp_path_factory.mktemp("two stages") / "twin"
    shutil.copytree(twin_folder, folder)
    twin.latent_upsampler().save_pretrained(folder / "latent_upsampler")
    return folder


@pytest.fixture(scope="module")
def two_stages(folder: Path) -> ModelCatalogue:
    return ModelCatalogue([spec_from_folder("twin", folder, defaults=DEFAULTS)])


@pytest.fixture
def engine(two_stages: ModelCatalogue, tmp_path: Path) -> Engine:
    return Engine(two_stages, media_dir=tmp_path / "media", device="cpu")


def complete(catalogue: ModelCatalogue, **fields) -> GenerationRequest:
    known = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "model": "twin", "seed": 7, "stages": 2}
    return catalogue.complete(GenerationRequest(**(known | fields)))


def value(engine: Engine, request: GenerationRequest, node: str):
    """What a node of the clip's graph makes."""
    events = execute(in_two_stages(request, "0"), node, engine, engine.cache)
    while True:
        try:
            next(events)
        except StopIteration as finished:
            return finished.value


def theirs(pipeline: LTX2Pipeline, request: GenerationRequest, **changes):
    """diffusers' latents of one stage, video ``[B, C, F, H, W]`` and audio ``[B, C, L, M]``, as the VAEs make them."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        prompt=PROMPT, negative_prompt=NEGATIVE, num_frames=request.num_frames, frame_rate=request.frame_rate,
        guidance_scale=request.guidance_scale, stg_scale=request.stg_scale, modality_scale=request.modality_scale,
        guidance_rescale=request.guidance_rescale, audio_guidance_scale=request.audio_guidance_scale,
        audio_stg_scale=request.audio_stg_scale, audio_modality_scale=request.audio_modality_scale,
        audio_guidance_rescale=request.audio_guidance_rescale, spatio_temporal_guidance_blocks=[2],
        max_sequence_length=min(1024, pipeline.tokenizer.model_max_length), output_type="latent", return_dict=False, **changes,
    )  # fmt: skip


def test_both_stages_equal_diffusers(engine, two_stages, folder):
    request = complete(two_stages)
    pipeline = LTX2Pipeline.from_pretrained(folder)
    half = {"height": 64, "width": 64}
    video, audio = theirs(pipeline, request, **half, num_inference_steps=4, generator=torch.Generator().manual_seed(7))
    upsampling = LTX2LatentUpsamplePipeline(pipeline.vae, twin.latent_upsampler())
    larger = upsampling(latents=video, **half, num_frames=9, output_type="latent", return_dict=False)[0]

    model = engine.model("twin")
    canvas = Canvas.of(model, height=128, width=128, num_frames=9, frame_rate=12.0)
    first, given = value(engine, request, "denoise_half"), value(engine, request, "upsample")
    assert torch.allclose(denormalize_audio(model, first.audio_BND), pipeline._pack_audio_latents(audio), atol=GATE)
    ours = denormalize_video(model, unpack_video(given.video.clean_BND, canvas))
    assert ours.shape == larger.shape == (1, 8, 2, 4, 4) and torch.allclose(ours, larger, atol=GATE)
    assert float(larger.std()) > 0.01

    # diffusers draws the second stage's noise in another layout, so it is given our noisy latents.
    fixed = schedule(model, 32, steps=3, sigmas=REFINE_SIGMAS)
    begin, start = begun(fixed, noise(model, canvas, 8), given, REFINE_SIGMAS[0])
    assert begin == 0 and not torch.allclose(start.video_BND, noise(model, canvas, 8).video_BND, atol=1e-3)
    pipeline.scheduler = type(pipeline.scheduler).from_config(
        pipeline.scheduler.config, use_dynamic_shifting=False, shift_terminal=None
    )
    video, audio = theirs(
        pipeline, request, height=128, width=128, num_inference_steps=3, sigmas=list(REFINE_SIGMAS), latents=start.video_BND,
        audio_latents=denormalize_audio(model, start.audio_BND),
    )  # fmt: skip
    finished = value(engine, request, "denoise")
    expected = pack_video(video)
    assert torch.allclose(pack_video(denormalize_video(model, unpack_video(finished.video_BND, canvas))), expected, atol=GATE)
    assert torch.allclose(denormalize_audio(model, finished.audio_BND), pipeline._pack_audio_latents(audio), atol=GATE)


def test_a_clip_in_two_stages(engine, two_stages, tmp_path):
    request = complete(two_stages)
    events = list(engine.run(request, tmp_path / "clip.mp4"))
    assert isinstance(events[-1], Done)
    media = read_media(tmp_path / "clip.mp4")
    assert media.frames.shape == (9, 128, 128, 3) and media.sound is not None
    assert read_origin(tmp_path / "clip.mp4").request == request and request.refine_sigmas == REFINE_SIGMAS
    told = [(event.step, event.total) for event in events if isinstance(event, Progress) and event.stage == "denoise"]
    assert told == [(step, 7) for step in (0, 1, 2, 3, 4, 4, 5, 6, 7)]
    assert [event.step for event in events if isinstance(event, Progress) and event.stage == "upsample latents"] == [0, 1]
    assert "memory.cpu.upsample latents" in {event.name for event in events if isinstance(event, Metric)}
    refined_otherwise = complete(two_stages, refine_sigmas=(0.5, 0.2))
    again = list(engine.run(refined_otherwise, tmp_path / "again.mp4"))
    ran = {event.name for event in again if isinstance(event, Metric) and event.name.startswith("seconds.")}
    assert "seconds.denoise" in ran and not {"seconds.denoise_half", "seconds.upsample"} & ran
    assert not np.array_equal(read_media(tmp_path / "again.mp4").frames, media.frames)


def test_a_first_frame_holds_in_both_stages(engine, two_stages, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)).save(buffer, "PNG")
    reference = f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}"
    (tmp_path / "media").mkdir()
    engine.media_path(reference).write_bytes(buffer.getvalue())
    request = complete(two_stages, first_frame=reference)
    for stage, given, tokens in (("denoise_half", "encode_ends_half", 4), ("denoise", "encode_ends", 16)):
        kept, latents = value(engine, request, given).video, value(engine, request, stage)
        assert torch.equal(latents.video_BND[:, :tokens], kept.clean_BND[:, :tokens])
        assert latents.video_BND.shape[1] == 2 * tokens, "two latent frames, the first of them given"


def test_only_a_model_with_a_latent_upsampler_takes_two_stages(two_stages, catalogue, folder, tmp_path):
    pocket, twin_spec = published_models()[0], two_stages.get("twin")
    for name in ("stages", "refine_sigmas"):
        assert twin_spec.takes(name) and not pocket.takes(name)
    assert twin_spec.stages == (1, 2) and pocket.stages == catalogue.get("twin").stages == (1,)
    with pytest.raises(InvalidRequest, match=r"stages is 2, but Pocket has no latent upsampler: use 1\.") as refused:
        ModelCatalogue.with_folders({}).complete(GenerationRequest(prompt="a dog", stages=2))
    assert refused.value.field == "stages"
    other = tmp_path / "longer"
    shutil.copytree(folder, other)
    config = other / "latent_upsampler" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"rational_spatial_scale": 1.5}))
    assert spec_from_folder("longer", other).stages == (1,)


def test_sides_fit_both_stages(two_stages):
    with pytest.raises(InvalidRequest, match=r"multiples of 64 from 128 to 2048 pixels in two stages: use 128\.") as refused:
        complete(two_stages, width=96)
    assert refused.value.field == "width"
    request = complete(two_stages, height=512, width=448)
    for change in changes_of(request, two_stages.get("twin")):
        two_stages.complete(request.model_copy(update=change.settings))


def test_one_stage_forgets_the_second_stages_schedule(two_stages):
    assert complete(two_stages, stages=1, refine_sigmas=(0.5,)).refine_sigmas is None


@pytest.mark.parametrize("sigmas", [[1.0, 0.5], [0.5, 0.6], []])
def test_a_second_stage_begins_from_the_first(sigmas):
    with pytest.raises(InvalidRequest) as refused:
        parse_generation({"prompt": "a dog", "stages": 2, "refine_sigmas": sigmas})
    assert refused.value.field == "refine_sigmas"


def test_an_edit_is_made_in_one_stage(two_stages):
    source = complete(two_stages)
    asked = {"source": "clip:" + "0" * 32, "edit": {"kind": "retake", "start_s": 0.0, "end_s": 0.5}}
    assert edit_request(asked, source, two_stages).stages == 1
    with pytest.raises(InvalidRequest, match="stages is not a setting of an edit"):
        edit_request(asked | {"stages": 2}, source, two_stages)


def test_a_damaged_latent_upsampler_is_named(folder, tmp_path):
    other = tmp_path / "damaged"
    shutil.copytree(folder, other)
    weights = other / "latent_upsampler" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    catalogue = ModelCatalogue([spec_from_folder("twin", other, defaults=DEFAULTS)])
    engine = Engine(catalogue, media_dir=tmp_path, device="cpu")
    with pytest.raises(ModelNotFound, match="latent upsampler could not be loaded"):
        list(engine.run(complete(catalogue), tmp_path / "x.mp4"))


def test_the_forecast_knows_the_stage_between(two_stages, catalogue):
    spec = two_stages.get("twin")
    widths = widths_of(spec, "cpu")
    assert widths.weights_bytes == widths_of(catalogue.get("twin"), "cpu").weights_bytes, "loaded for its stage only"
    network = twin.latent_upsampler()
    assert (
        widths.upsampler_parameters == sum(each.numel() for each in network.state_dict().values())
        and widths.upsampler_width == 32
    )
    model = MemoryModel(widths, "cpu")
    both, one = (model.predict(Work.of(complete(two_stages, stages=stages))) for stages in (2, 1))
    assert set(both.peaks) - set(one.peaks) == {"upsample latents"}
    assert both.peaks["upsample latents"] - both.rest_bytes >= 4 * widths.upsampler_parameters
    assert both.peaks["denoise"] == one.peaks["denoise"]
