"""Every family on a tiny twin of its real classes: the clip is the plain diffusers call's, to the bit, and a valid MP4."""

from __future__ import annotations

import inspect
import itertools
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from diffusers.pipelines.hunyuan_video1_5.image_processor import HunyuanVideo15ImageProcessor
from safetensors.torch import load_file, save_file

from pipelines.clip_io import read_media, read_origin
from pipelines.contract import Clip, Done, EditRequest, GenerationRequest, InvalidRequest, ModelNotFound, Progress, Quantization
from pipelines.editing.plan import Shape
from pipelines.editing.request import planned
from pipelines.engine import Engine, called_clip
from pipelines.family import families
from pipelines.graph import NodeCache, execute
from pipelines.models.called import dtypes_of
from pipelines.models.quantizing import written
from pipelines.optimize.memory import SPARING, plan_of
from pipelines.optimize.plan import Plan, is_quantized
from pipelines.optimize.quantize import weights_bytes
from pipelines.registry import ModelCatalogue, published_models, spec_from_folder
from studio.ui.form import sizes_of
from tests.pipelines.models.families import CASES, Stand, stand_for


@pytest.fixture(scope="module", params=CASES, ids=str)
def stand(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stand:
    return stand_for(request.param, tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    return stand_for(CASES[0], tmp_path_factory.mktemp("wan"))


def run(engine: Engine, request: GenerationRequest, path: Path) -> tuple[Clip, list]:
    events = list(engine.run(request, path))
    assert isinstance(events[-1], Done)
    return events[-1].result, events


def value(stand: Stand, request: GenerationRequest):
    """What the call makes, before it is encoded."""
    engine = stand.engine()
    steps = execute(called_clip(request, engine.model("twin"), Path("x.mp4")), "call", engine, NodeCache())
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def test_a_request_becomes_a_clip(stand: Stand, tmp_path: Path) -> None:
    request = stand.request()
    clip, events = run(stand.engine(), request, tmp_path / "clip.mp4")
    spec = stand.catalogue.get("twin")
    assert [e.step for e in events if isinstance(e, Progress) and e.stage == "denoise"] == [0, 1, 2, 3]
    seen = list(dict.fromkeys(e.stage for e in events if isinstance(e, Progress)))
    assert seen == ["encode", "denoise", "decode picture", "write"]
    media = read_media(clip.path)
    assert media.frames is not None and media.frames.shape == (9, 64, 96, 3)
    assert media.frame_rate == clip.frame_rate == spec.defaults.frame_rate
    assert (media.sound is None) == (not clip.has_audio) == spec.is_silent
    assert read_origin(clip.path).request == request == clip.request
    assert ("length.sound_s" in clip.measurements) == clip.has_audio and "temporal.flicker" in clip.measurements
    assert spec.begins_with == stand.case.begins_with


def test_it_is_what_diffusers_makes_of_it(stand: Stand) -> None:
    request = stand.request()
    ours, theirs = value(stand, request), stand.plain(request)
    assert np.array_equal(ours.frames, (theirs.frames[0] * 255).round().astype(np.uint8))
    if stand.catalogue.get("twin").is_silent:
        assert ours.sound is None
    else:
        assert np.array_equal(ours.sound.samples[0], theirs.audio[0]) and ours.sound.sample_rate > 0


@pytest.mark.parametrize("with_first", [True, False])
def test_vace_comes_to_a_last_frame(with_first: bool, tmp_path: Path) -> None:
    stand = stand_for(next(case for case in CASES if case.kind == "vace" and case.image == with_first), tmp_path)
    request = stand.request(last_frame=stand.image())
    assert bool(request.first_frame) == with_first
    assert np.array_equal(value(stand, request).frames, (stand.plain(request).frames[0] * 255).round().astype(np.uint8))


def test_the_same_seed_is_the_same_clip(stand: Stand, tmp_path: Path) -> None:
    made = [run(stand.engine(), stand.request(seed=seed), tmp_path / f"{k}.mp4")[0] for k, seed in enumerate((1, 1, 2))]
    one, again, other = (read_media(clip.path).frames for clip in made)
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_a_long_clip_is_made_in_pieces_with_one_progress(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.kind == "forcing")
    stand = stand_for(case, tmp_path)
    request = stand.request(num_frames=121, height=32, width=32, num_inference_steps=2)
    clip, events = run(stand.engine(), request, tmp_path / "clip.mp4")
    assert [(e.step, e.total) for e in events if isinstance(e, Progress) and e.stage == "denoise"] == [
        *((step, 4) for step in (0, 1, 2)),
        *((step, 4) for step in (2, 3, 4)),
    ]
    seen = list(dict.fromkeys(e.stage for e in events if isinstance(e, Progress)))
    assert seen == ["encode", "denoise", "decode picture", "write"] and clip.num_frames == 121
    theirs = stand.plain(request)
    assert np.array_equal(value(stand, request).frames, (theirs.frames[0] * 255).round().astype(np.uint8))


def test_closing_cancels_within_a_step(stand: Stand, tmp_path: Path) -> None:
    engine, request = stand.engine(), stand.request(num_inference_steps=40)
    networks = [getattr(engine.model("twin").pipeline, name, None) for name in ("transformer", "transformer_2")]
    calls: list[int] = []
    hooks = [each.register_forward_pre_hook(lambda *_: calls.append(1)) for each in networks if each is not None]
    events = engine.run(request, tmp_path / "clip.mp4")
    for _ in itertools.takewhile(lambda e: e != Progress("denoise", 1, 40), events):
        pass
    events.close()
    stopped = len(calls)
    assert 0 < stopped < 2 * 40 - 2 and next(events, None) is None
    for hook in hooks:
        hook.remove()
    assert not list(tmp_path.iterdir())
    assert run(engine, stand.request(), tmp_path / "clip.mp4")[0].path.exists() and len(calls) == stopped


def test_it_runs_in_the_dtypes_of_a_gpu(stand: Stand) -> None:
    spec, request = stand.catalogue.get("twin"), stand.request()
    assert spec.call is not None
    pipeline = stand.pipeline(dtypes_of(spec.call, torch.bfloat16))
    assert pipeline.transformer.dtype == torch.bfloat16
    frames = stand.called(pipeline, request).frames[0]
    assert frames.shape == (9, 64, 96, 3) and np.isfinite(frames).all()


def test_a_twin_is_small(stand: Stand) -> None:
    assert sum(file.stat().st_size for file in stand.folder.rglob("*") if file.is_file()) < 20e6


def test_its_weights_can_be_held_in_fewer_bits(stand: Stand, tmp_path: Path) -> None:
    """In 8 bits by torchao and in 4 by the studio's own layer, pipeline by pipeline in turns."""
    mode = (Quantization.INT8, Quantization.INT4)[CASES.index(stand.case) % 2]
    request = stand.request(quantization=mode)
    engine, plain = stand.engine(), stand.engine()
    clip, _ = run(engine, request, tmp_path / "clip.mp4")
    sizes = [weights_bytes(each.model("twin").pipeline.transformer) for each in (engine, plain)]
    assert clip.model_sha256 != plain.model("twin").sha256
    assert sizes[0] < sizes[1]


def test_at_full_size_most_of_its_weights_are_meant(stand: Stand) -> None:
    network = type(stand.engine().model("twin").pipeline.transformer)
    with torch.device("meta"):
        weights = dict(network().named_parameters())
    meant = sum(weight.numel() for name, weight in weights.items() if is_quantized(name, tuple(weight.shape)))
    assert meant > 0.6 * sum(weight.numel() for weight in weights.values())


def test_with_little_memory_the_picture_is_decoded_in_tiles(wan: Stand, tmp_path: Path) -> None:
    engine = wan.engine()
    tiles: list[bool] = []
    vae = engine.model("twin").pipeline.vae
    vae.decoder.register_forward_pre_hook(lambda *_: tiles.append(vae.use_tiling))
    engine.thrift = SPARING
    list(execute(called_clip(wan.request(), engine.model("twin"), tmp_path / "x.mp4"), "call", engine, NodeCache()))
    assert tiles and all(tiles) and not vae.use_tiling


def test_the_automatic_plan_weighs_a_family_s_files(wan: Stand) -> None:
    spec = wan.catalogue.get("twin")
    assert plan_of(spec, Quantization.AUTO, "cpu", 10**9).quantization is Quantization.NONE
    assert plan_of(spec, Quantization.AUTO, "cpu", 1000).quantization is Quantization.INT4


@pytest.mark.parametrize(
    ("fields", "name", "words"),
    [
        ({"modality": "video_and_audio"}, "modality", "makes no sound: use video"),
        ({"modality": "audio"}, "modality", "makes no sound: use video"),
        ({"stg_scale": 1.0}, "stg_scale", "use 0"),
        ({"modality_scale": 3.0}, "modality_scale", "has no use for it"),
        ({"effort": "fast"}, "effort", "has no use for it"),
        ({"guidance_method": "projected"}, "guidance_method", "has no use for it"),
        ({"guidance_low": 0.2}, "guidance_low", "has no use for it"),
        ({"sigmas": (1.0, 0.5)}, "sigmas", "has no use for it"),
        ({"loras": [{"lora": "lora:" + "0b" * 32}]}, "loras", "has no use for it"),
        ({"first_frame": "sha256:" + "0a" * 32}, "first_frame", "has no use for it"),
        ({"stages": 2}, "stages", "has no latent upsampler"),
        ({"upscale": 2}, "upscale", "has no upscaler"),
        ({"prompt": "[0.0-0.2 s] a ball [0.2-0.5 s] a cube"}, "prompt", "leave the times out"),
        ({"num_frames": 10}, "num_frames", "use 9"),
        ({"height": 70}, "height", "use 64"),
    ],
)
def test_what_it_cannot_do_is_refused_in_one_sentence(wan: Stand, fields: dict, name: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        wan.request(**fields)
    assert refused.value.field == name and refused.value.message.count(". ") == 0 and refused.value.message.endswith(".")


def test_a_model_that_begins_with_a_picture_asks_for_one(tmp_path: Path) -> None:
    stand = stand_for(CASES[1], tmp_path)
    with pytest.raises(InvalidRequest, match="begins with a picture: add one"):
        stand.catalogue.complete(GenerationRequest(prompt="a ball", model="twin"))


def test_a_model_of_certain_sizes_offers_and_takes_only_those(tmp_path: Path) -> None:
    stand = stand_for(next(case for case in CASES if case.reads_size), tmp_path)
    spec = stand.catalogue.get("twin")
    processor, target = HunyuanVideo15ImageProcessor(), stand.engine().model("twin").pipeline.target_size
    for height, width in spec.sizes:
        assert processor.calculate_default_height_width(height, width, target) == (height, width)
    with pytest.raises(InvalidRequest, match="twin makes clips of certain sizes only: use") as refused:
        stand.request(height=96, width=112)
    assert refused.value.field == "height"
    assert all(tuple(map(int, reversed(size.split(" × ")))) in spec.sizes for _, size in sizes_of(spec))


def test_a_model_with_learned_positions_is_refused(tmp_path: Path) -> None:
    folder = stand_for(next(case for case in CASES if case.family == "cogvideox"), tmp_path).folder
    config = folder / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"use_learned_positional_embeddings": True}))
    with pytest.raises(ModelNotFound, match=r"use CogVideoX 1\.5"):
        spec_from_folder("old", folder)


def test_a_text_that_would_be_cut_is_refused(wan: Stand, tmp_path: Path) -> None:
    for name in ("prompt", "negative_prompt"):
        with pytest.raises(InvalidRequest, match="it reads 512") as refused:
            list(wan.engine().run(wan.request(**{name: "ball " * 300}), tmp_path / "x.mp4"))
        assert refused.value.field == name


def test_it_edits_what_needs_no_model_and_imagines_nothing_within_a_clip(wan: Stand) -> None:
    shape = Shape(64, 96, 9, 16.0, has_audio=False)
    common = {"prompt": "a ball", "model": "twin", "source": "clip:" + "a" * 32}
    trimmed = wan.catalogue.complete(EditRequest(**common, edit={"kind": "trim", "start_s": 0.1, "end_s": 0.4}))
    assert planned(trimmed, [shape], wan.catalogue)[1].window is None
    extended = wan.catalogue.complete(EditRequest(**common, edit={"kind": "extend", "seconds": 0.5}))
    with pytest.raises(InvalidRequest, match="makes whole clips only") as refused:
        planned(extended, [shape], wan.catalogue)
    assert refused.value.field == "model"


def test_a_folder_that_is_not_whole_is_refused(wan: Stand, tmp_path: Path) -> None:
    folder = shutil.copytree(wan.folder, tmp_path / "half")
    (folder / "vae" / "config.json").unlink()
    with pytest.raises(ModelNotFound, match="is not a whole Wan model"):
        spec_from_folder("half", folder)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "MochiPipeline"}))
    (folder / "vae" / "config.json").write_text("{}")
    with pytest.raises(
        ModelNotFound, match=r"MochiPipeline, which is not among the families that can be loaded: LTX-2, LTX-2\.5 DFR, Wan, Co"
    ):
        spec_from_folder("half", folder)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def without_a_tensor(file: Path) -> None:
    tensors = load_file(file)
    save_file(dict(list(tensors.items())[1:]), file, metadata={"format": "pt"})


def of_another_shape(file: Path) -> None:
    tensors = load_file(file)
    name = next(iter(tensors))
    save_file(tensors | {name: torch.zeros(3, 5)}, file, metadata={"format": "pt"})


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
@pytest.mark.parametrize("harm", [cut, without_a_tensor, of_another_shape, Path.unlink])
def test_damaged_weights_are_one_sentence(wan: Stand, part: str, harm: Callable[[Path], object], tmp_path: Path) -> None:
    folder = shutil.copytree(wan.folder, tmp_path / "damaged")
    harm(next((folder / part).glob("*.safetensors")))
    catalogue = ModelCatalogue([replace(wan.catalogue.get("twin"), source=str(folder))])
    request = catalogue.complete(GenerationRequest(prompt="a ball", model="twin"))
    with pytest.raises(ModelNotFound, match="could not be loaded; install the model again") as refused:
        list(Engine(catalogue, media_dir=tmp_path, device="cpu").run(request, tmp_path / "x.mp4"))
    assert refused.value.field == "model"


def test_of_several_devices_the_first_one_works(wan: Stand, tmp_path: Path) -> None:
    engine = Engine(wan.catalogue, media_dir=tmp_path, device="cpu+cpu")
    clip, _ = run(engine, wan.request(), tmp_path / "clip.mp4")
    assert engine.ranks == 1 and clip.num_frames == 9


def test_no_smaller_folder_is_written_of_it(wan: Stand, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="is no LTX-2 model") as refused:
        written(str(wan.folder), tmp_path / "small", Plan(Quantization.INT8))
    assert refused.value.field == "model" and not (tmp_path / "small").exists()


def test_every_release_says_what_people_must_know() -> None:
    releases = [spec for spec in published_models() if spec.call is not None]
    assert {cls for spec in releases for cls in (spec.call.text, spec.call.image) if cls and ":" not in cls} <= {
        name for family in families() for name in family.classes
    }
    for spec in releases:
        assert spec.licence and "/" in spec.source, spec.id
        assert spec.memory_bytes == spec.download_bytes == 0 or 1e9 < spec.memory_bytes < spec.download_bytes, spec.id
        image = "sha256:" + "0a" * 32
        shown = [image, *(["clip:" + "0d" * 16] if spec.references.roles else [])]
        first = {"first_frame": {"first_frame": image}, "references": {"references": shown}, "words": {}}[spec.begins_with[0]]
        full = ModelCatalogue([spec]).complete(GenerationRequest(prompt="a ball", model=spec.id, **first))
        assert (full.modality == "video") == spec.is_silent
        for name in (name for name in (spec.call.text, spec.call.image) if name and ":" not in name):
            taken = set(inspect.signature(getattr(diffusers, name).__call__).parameters)
            assert {each for each in spec.call.arguments_of(full) if "." not in each} <= taken, (spec.id, name)


@pytest.mark.skipif("ftfy" in sys.modules, reason="ftfy is installed: nothing to repair")
@pytest.mark.parametrize("name", ["WanImageToVideoPipeline", "SkyReelsV2Pipeline", "SkyReelsV2ImageToVideoPipeline"])
def test_upstream_still_cleans_prompts_with_what_may_be_missing(name: str) -> None:
    """Fails when diffusers has mended it: then ``prompt_cleaning.py`` can go."""
    module = sys.modules[getattr(diffusers, name).__module__]
    source = Path(module.__file__).read_text(encoding="utf-8")
    body = source[source.index("def basic_clean") :]
    assert "is_ftfy_available" not in body[: body.index("return")]
