"""The engine on a tiny twin: events, caching, cancelling, first frames, silent and sound-only clips, damaged files."""

from __future__ import annotations

import hashlib
import io
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.clip_io import read_media, read_origin
from pipelines.contract import Clip, Done, GenerationRequest, Metric, ModelNotFound, Preview, Progress, StorageFull
from pipelines.engine import Engine
from pipelines.models.ltx2 import twin
from pipelines.optimize.plan import Offload
from pipelines.registry import Defaults, ModelCatalogue, spec_from_folder
from tests.disks import disk, fill, make_read_only


@pytest.fixture
def engine(catalogue: ModelCatalogue, tmp_path: Path) -> Engine:
    return Engine(catalogue, media_dir=tmp_path / "media", device="cpu")


def complete(catalogue: ModelCatalogue, **fields) -> GenerationRequest:
    return catalogue.complete(GenerationRequest(**({"prompt": "a red ball", "model": "twin", "seed": 1} | fields)))


def run(engine: Engine, request: GenerationRequest, path: Path) -> tuple[Clip, list]:
    events = list(engine.run(request, path))
    assert isinstance(events[-1], Done)
    return events[-1].result, events


def stages(events: list) -> set[str]:
    return {event.name for event in events if isinstance(event, Metric) and event.name.startswith("seconds.")}


def test_a_clip_with_everything_in_it(engine, catalogue, tmp_path):
    request = complete(catalogue)
    clip, events = run(engine, request, tmp_path / "clip.mp4")
    assert [e.step for e in events if isinstance(e, Progress) and e.stage == "denoise"] == [0, 1, 2, 3]
    preview = next(e for e in events if isinstance(e, Preview))
    assert Image.open(io.BytesIO(preview.image)).format == "WEBP"
    media = read_media(clip.path)
    assert media.frames.shape == (9, 64, 64, 3) and media.frame_rate == 12
    assert abs(media.sound.samples.shape[1] / media.sound.sample_rate - 9 / 12) < 1 / 12
    origin = read_origin(clip.path)
    assert origin.request == request == clip.request and origin.model_sha256 == clip.model_sha256
    assert clip.size_bytes == clip.path.stat().st_size
    assert {"length.picture_s", "length.sound_s", "sound.peak_dbfs", "temporal.flicker"} <= set(clip.measurements)


@pytest.mark.parametrize(
    ("layout", "offload", "quantization"), [("2.0", "none", "none"), ("2.5", "none", "int4"), ("2.5", "blocks", "none")]
)
def test_every_layout_from_a_folder(layout, offload, quantization, catalogue, tmp_path):
    """2.5 reads prompts with Gemma 4, whose class and files differ from the others'."""
    twin.build(layout).save_pretrained(tmp_path / "twin")
    spec = spec_from_folder("twin", tmp_path / "twin", defaults=catalogue.get("twin").defaults, offload=Offload(offload))
    made = ModelCatalogue([spec])
    engine = Engine(made, media_dir=tmp_path / "media", device="cpu")
    stg = {} if spec.stg_blocks else {"stg_scale": 0.0, "audio_stg_scale": 0.0}
    clip, _ = run(engine, complete(made, quantization=quantization, **stg), tmp_path / "clip.mp4")
    assert clip.has_video and clip.has_audio and clip.num_frames == 9
    assert type(engine.model("twin").text.text_encoder).__name__.startswith("Gemma4" if layout == "2.5" else "Gemma3")


def test_only_what_changed_runs_again(engine, catalogue, tmp_path):
    everything = stages(run(engine, complete(catalogue), tmp_path / "1.mp4")[1])
    assert everything == {f"seconds.{n}" for n in ("encode", "encode_negative", "denoise", "decode_video", "decode_audio", "mux")}
    assert engine.conditionings.tally.misses == 2
    assert stages(run(engine, complete(catalogue), tmp_path / "2.mp4")[1]) == {"seconds.mux"}
    assert stages(run(engine, complete(catalogue, crf=30), tmp_path / "3.mp4")[1]) == {"seconds.mux"}
    new_seed = stages(run(engine, complete(catalogue, seed=2), tmp_path / "4.mp4")[1])
    assert new_seed == everything and engine.conditionings.tally.misses == 2  # both texts were met before
    new_prompt = stages(run(engine, complete(catalogue, prompt="a dog"), tmp_path / "5.mp4")[1])
    assert new_prompt == everything and engine.conditionings.tally.misses == 3
    silent = stages(run(engine, complete(catalogue, prompt="a dog", modality="video"), tmp_path / "6.mp4")[1])
    assert silent == {"seconds.mux"}


def test_equal_requests_give_equal_files(catalogue, tmp_path):
    request = complete(catalogue)
    files = []
    for name in ("a", "b"):
        clip, _ = run(Engine(catalogue, media_dir=tmp_path, device="cpu"), request, tmp_path / f"{name}.mp4")
        files.append(read_media(clip.path))
    assert np.array_equal(files[0].frames, files[1].frames)
    assert np.array_equal(files[0].sound.samples, files[1].sound.samples)


@pytest.mark.parametrize(("modality", "picture", "sound"), [("video", True, False), ("audio", False, True)])
def test_silent_and_sound_only(engine, catalogue, tmp_path, modality, picture, sound):
    clip, events = run(engine, complete(catalogue, modality=modality), tmp_path / "clip.mp4")
    media = read_media(clip.path)
    assert (media.frames is not None, media.sound is not None) == (picture, sound) == (clip.has_video, clip.has_audio)
    assert any(isinstance(e, Preview) for e in events) == picture


def test_one_step_is_a_clip_too(engine, catalogue, tmp_path):
    """diffusers' own schedule has no number for it where it ends above zero."""
    assert engine.model("twin").scheduler.config.shift_terminal
    clip, _ = run(engine, complete(catalogue, num_inference_steps=1), tmp_path / "one.mp4")
    assert np.isfinite(read_media(clip.path).sound.samples).all()


def test_first_frame_changes_the_clip_and_travels_in_the_file(engine, catalogue, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)).save(buffer, "PNG")
    reference = f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}"
    (tmp_path / "media").mkdir()
    engine.media_path(reference).write_bytes(buffer.getvalue())
    plain, _ = run(engine, complete(catalogue), tmp_path / "plain.mp4")
    framed, _ = run(engine, complete(catalogue, first_frame=reference), tmp_path / "framed.mp4")
    assert read_origin(framed.path).media == {reference: buffer.getvalue()}
    assert not np.array_equal(read_media(plain.path).frames, read_media(framed.path).frames)


def test_closing_cancels_within_a_step_and_leaves_no_file(engine, catalogue, tmp_path):
    events = engine.run(complete(catalogue, num_inference_steps=50), tmp_path / "clip.mp4")
    seen = list(itertools.takewhile(lambda e: e != Progress("denoise", 2, 50), events))
    assert Progress("denoise", 1, 50) in seen
    events.close()
    assert next(events, None) is None
    assert list(tmp_path.iterdir()) == []
    again, _ = run(engine, complete(catalogue), tmp_path / "clip.mp4")
    assert again.path.exists()


def test_damaged_weights_are_named(twin_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(twin_folder, folder)
    names = [str(file.relative_to(folder)) for file in sorted(folder.rglob("*")) if file.is_file()]
    manifest = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    spec = spec_from_folder("twin", folder, defaults=Defaults(64, 64, 9, 12.0, 2), sha256=manifest)
    catalogue = ModelCatalogue([spec])
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(ModelNotFound, match=r"transformer/diffusion_pytorch_model.safetensors is damaged"):
        list(Engine(catalogue, media_dir=tmp_path, device="cpu").run(complete(catalogue), tmp_path / "x.mp4"))


def test_a_hub_model_without_network_says_so(tmp_path):
    catalogue = ModelCatalogue.with_folders({})
    request = catalogue.complete(GenerationRequest(prompt="a dog", model="ltx-2"))
    with pytest.raises(ModelNotFound, match="not on this machine"):
        list(Engine(catalogue, media_dir=tmp_path, device="cpu").run(request, tmp_path / "x.mp4"))


def test_a_read_only_disk(engine, catalogue, tmp_path):
    with disk(tmp_path / "disk", "8m") as folder:
        make_read_only(folder)
        for path in (folder / "clip.mp4", folder / "new" / "clip.mp4"):
            with pytest.raises(StorageFull, match=r"could not be written.*Read-only"):
                list(engine.run(complete(catalogue), path))


def test_a_disk_that_fills_during_writing_keeps_nothing(engine, catalogue, tmp_path):
    whole, _ = run(engine, complete(catalogue), tmp_path / "whole.mp4")
    for share in (0.2, 0.6, 0.9):
        with disk(tmp_path / f"disk-{share}", "1m") as folder:
            (folder / "clips").mkdir()
            filler = fill(folder)
            with filler.open("r+b") as stream:
                stream.truncate(filler.stat().st_size - int(share * whole.size_bytes))
            with pytest.raises(StorageFull, match="No space left"):
                list(engine.run(complete(catalogue), folder / "clips" / "clip.mp4"))
            assert list((folder / "clips").iterdir()) == []
            filler.unlink()
            assert run(engine, complete(catalogue), folder / "clips" / "clip.mp4")[0].path.exists()
