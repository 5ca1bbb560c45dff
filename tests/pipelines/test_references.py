"""Images and clips that a model is shown beside the words: LTX-2's in-context conditioning, Wan VACE's things and guides."""

from __future__ import annotations

import hashlib
import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pipelines.clip_io import read_media, read_origin
from pipelines.contract import Done, GenerationRequest, InvalidRequest, parse_generation
from pipelines.engine import Engine
from pipelines.lora.file import reference_scale
from pipelines.models.ltx2 import twin
from pipelines.optimize.batching import kind_of
from pipelines.optimize.memory import Work
from pipelines.registry import Defaults, ModelCatalogue, published_models, spec_from_folder
from pipelines.showing import covered, frames_of
from tests.pipelines.models.families import CASES, stand_for
from tests.pipelines.models.test_sound_models import filmed

CLIP, OTHER = "clip:" + "a" * 32, "clip:" + "b" * 32
IMAGE = f"sha256:{'1' * 64}"


def stored(media: Path, colour: tuple[int, int, int], size: tuple[int, int] = (120, 90)) -> str:
    held = io.BytesIO()
    Image.new("RGB", size, colour).save(held, "PNG")
    name = hashlib.sha256(held.getvalue()).hexdigest()
    media.mkdir(exist_ok=True)
    (media / f"{name}.png").write_bytes(held.getvalue())
    return f"sha256:{name}"


@pytest.fixture(scope="module")
def in_context(twin_folder: Path) -> ModelCatalogue:
    defaults = Defaults(height=128, width=128, num_frames=17, frame_rate=12.0, num_inference_steps=2)
    return ModelCatalogue([spec_from_folder("twin", twin_folder, defaults=defaults)])


@pytest.fixture(scope="module")
def lora_paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """LoRAs of one layer: one that was shown references of its clip's size, and one that was shown halves."""
    folder = tmp_path_factory.mktemp("loras")
    weight = twin.build("2.3").transformer.transformer_blocks[0].attn1.to_q.weight
    torch.manual_seed(0)
    name = "transformer.transformer_blocks.0.attn1.to_q"
    tensors = {f"{name}.lora_A.weight": torch.randn(2, weight.shape[1]), f"{name}.lora_B.weight": torch.randn(weight.shape[0], 2)}
    found = {}
    for letter, metadata in (("c", {}), ("d", {"reference_downscale_factor": "2"}), ("e", {"reference_downscale_factor": "0"})):
        path = folder / f"{letter}.safetensors"
        save_file(tensors, path, metadata)
        found["lora:" + letter * 64] = path
    return found


def made(catalogue: ModelCatalogue, folder: Path, lora_paths: dict[str, Path], lora: str = "c", **fields: Any) -> np.ndarray:
    engine = Engine(catalogue, media_dir=folder / "media", device="cpu")
    loras = [{"lora": "lora:" + lora * 64}]
    request = catalogue.complete(
        parse_generation({"prompt": "a red ball", "model": "twin", "seed": 1, "crf": 0, "loras": loras, **fields})
    )
    path = folder / "clip.mp4"
    clips = {CLIP: filmed(folder / "1.mp4"), OTHER: filmed(folder / "2.mp4", seconds=0.8, rate=24.0)}
    events = list(engine.run(request, path, {**clips, **lora_paths}))
    assert isinstance(events[-1], Done) and read_origin(path).request == request
    frames = read_media(path).frames
    assert frames is not None and frames.shape == (request.num_frames, request.height, request.width, 3)
    return frames


def test_what_is_shown_acts_alone_together_and_at_half_the_size(in_context, lora_paths, tmp_path):
    red, blue = (stored(tmp_path / "media", colour) for colour in ((220, 30, 30), (30, 30, 220)))
    plain = made(in_context, tmp_path, lora_paths)
    seen = {"clip": plain}
    for name, lora, references in (
        ("clip", "c", [CLIP]), ("short clip", "c", [OTHER]), ("image", "c", [red]), ("other image", "c", [blue]),
        ("both", "c", [CLIP, red]), ("half", "d", [CLIP]),
    ):  # fmt: skip
        frames = made(in_context, tmp_path, lora_paths, lora, references=references)
        assert all((frames != other).any() for other in [plain, *seen.values()]), name
        seen[name] = frames
    again = made(in_context, tmp_path, lora_paths, references=[CLIP])
    assert (again == seen["clip"]).all(), "the same seed and the same references give the same clip"


def test_a_first_frame_times_and_a_second_stage_go_with_them(twin_folder, lora_paths, tmp_path):
    folder = tmp_path / "twin"
    shutil.copytree(twin_folder, folder)
    twin.latent_upsampler().save_pretrained(folder / "latent_upsampler")
    defaults = Defaults(height=128, width=128, num_frames=17, frame_rate=12.0, num_inference_steps=2)
    catalogue = ModelCatalogue([spec_from_folder("twin", folder, defaults=defaults)])
    begun = {"first_frame": stored(tmp_path / "media", (20, 200, 20)), "prompt": "[0-0.7 s] a bee [0.7-1.4 s] a cat"}
    for fields in (begun, {"stages": 2}):
        frames = [made(catalogue, tmp_path, lora_paths, references=references, **fields) for references in ([], [CLIP])]
        assert (frames[0] != frames[1]).any()


def test_a_lora_says_how_small_its_references_were(in_context, lora_paths, tmp_path):
    assert [reference_scale(lora_paths["lora:" + letter * 64]) for letter in "cd"] == [1, 2]
    with pytest.raises(InvalidRequest, match="reference_downscale_factor is '0'"):
        reference_scale(lora_paths["lora:" + "e" * 64])
    with pytest.raises(InvalidRequest, match="height is 96; its LoRA is shown references 2 times smaller: use a multiple of 64"):
        made(in_context, tmp_path, lora_paths, "d", references=[CLIP], height=96)


def test_vace_is_shown_things_and_follows_a_clip_as_diffusers_has_it(tmp_path):
    stand = stand_for(next(case for case in CASES if case.kind == "vace" and not case.image), tmp_path)
    things = [stored(stand.media, (200, 40, 40)), stored(stand.media, (40, 40, 200), (60, 90))]
    clip = filmed(tmp_path / "1.mp4", seconds=0.5)
    request = stand.request(references=[things[0], CLIP, things[1]], crf=0)
    engine = stand.engine()
    events = list(engine.run(request, tmp_path / "clip.mp4", {CLIP: clip}))
    assert isinstance(events[-1], Done)
    (ours,) = [media for media, _ in engine.cache._values.values() if hasattr(media, "frames")]
    pipeline = stand.pipeline(torch.float32)
    guide = covered(frames_of(clip, request.num_frames, request.frame_rate), request.height, request.width)
    frames = [Image.fromarray(frame) for frame in guide]
    grey = [Image.new("RGB", frames[0].size, (128, 128, 128))] * (request.num_frames - len(frames))
    mask = [Image.new("L", frames[0].size, 255)] * request.num_frames
    pictures = [Image.open(stand.media / f"{each.removeprefix('sha256:')}.png").convert("RGB") for each in things]

    def called(**shown: Any) -> np.ndarray:
        bound = lambda **given: pipeline(**given, **shown)  # noqa: E731
        bound.set_progress_bar_config = pipeline.set_progress_bar_config
        return (stand.called(bound, request).frames[0] * 255).round().astype(np.uint8)

    expected = called(video=[*frames, *grey], mask=mask, reference_images=pictures)
    assert (ours.frames == expected).all() and (expected != called()).any()


def test_a_followed_clip_is_brought_to_the_speed_and_shape_of_the_new_one(tmp_path):
    clip = filmed(tmp_path / "1.mp4", seconds=1.0, rate=24.0)
    frames = read_media(clip).frames
    assert (frames_of(clip, 9, 12.0) == frames[0:18:2]).all()
    assert len(frames_of(clip, 97, 24.0)) == 24 and (frames_of(clip, 9, 48.0)[::2] == frames[:5]).all()
    assert covered(frames, 32, 32).shape == (24, 32, 32, 3)


@pytest.mark.parametrize(
    ("model", "references", "loras", "says"),
    [
        ("pocket", [IMAGE], [], "references has 1 image; Pocket takes no images"),
        ("wan-2.1-1.3b", [CLIP], [], "references has 1 clip; Wan 2.1, 1.3 B takes no clips"),
        ("wan-2.1-vace-1.3b", [CLIP, OTHER], [], "references has 2 clips; Wan 2.1 VACE, 1.3 B takes 1 clip"),
        ("ltx-2.3", [CLIP], [], "only with a LoRA that was trained to"),
    ],
)
def test_models_refuse_what_they_cannot_be_shown(model, references, loras, says):
    catalogue = ModelCatalogue(published_models())
    with pytest.raises(InvalidRequest, match=says) as caught:
        catalogue.complete(GenerationRequest(prompt="a ball", model=model, references=references, loras=loras))
    assert caught.value.field == "references"


@pytest.mark.parametrize(
    ("references", "says"),
    [(["/etc/passwd"], "must each be"), ([CLIP, CLIP], "twice"), ([CLIP[:-1]], "must each be"), ([IMAGE] * 13, "more than 12")],
)
def test_what_is_no_reference_is_refused_in_one_sentence(references, says):
    with pytest.raises(InvalidRequest, match=says):
        parse_generation({"prompt": "a ball", "references": references})


def test_they_count_for_batches_memory_and_files(in_context):
    lora = {"lora": "lora:" + "c" * 64}
    shown = {"loras": [lora], "references": [CLIP, IMAGE]}
    request = in_context.complete(GenerationRequest(prompt="a ball", model="twin", seed=1, **shown))
    assert request.images() == (IMAGE,) and request.clips() == (CLIP,) and request.sources() == (CLIP, lora["lora"])
    assert replace(Work.of(request), references=0) == Work.of(request.model_copy(update={"references": ()}))
    assert Work.of(request).references == 1
    assert kind_of(request) != kind_of(request.model_copy(update={"references": (OTHER, IMAGE)}))
