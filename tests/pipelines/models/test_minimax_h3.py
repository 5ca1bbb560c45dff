"""MiniMax-H3 on a tiny twin of its real parts: the clip is what the modular blocks of diffusers make, with its sound."""

from __future__ import annotations

import hashlib
import io
import itertools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLMiniMaxH3, AutoencoderKLMiniMaxH3Audio, MiniMaxH3Scheduler, MiniMaxH3Transformer3DModel
from diffusers.modular_pipelines.minimax_h3 import MiniMaxH3Blocks, MiniMaxH3ImageReference
from PIL import Image
from transformers import Qwen2Tokenizer, Qwen2VLImageProcessorPil, Qwen3VLForConditionalGeneration

from pipelines.checkpoints.scan import scan
from pipelines.clip_io import read_media, read_origin
from pipelines.conditioning import cover
from pipelines.contract import Clip, Done, GenerationRequest, InvalidRequest, ModelNotFound, Progress, Quantization
from pipelines.engine import Engine, called_clip
from pipelines.graph import NodeCache, execute
from pipelines.models.installed import installed
from pipelines.models.minimaxh3 import twin
from pipelines.optimize.quantize import weights_bytes
from pipelines.registry import ModelCatalogue, spec_from_folder

SHAPE = {"height": 32, "width": 64, "num_frames": 124, "num_inference_steps": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("h3") / "twin"
    twin.save(made)
    return made


@pytest.fixture(scope="module")
def catalogue(folder: Path) -> ModelCatalogue:
    spec = spec_from_folder("twin", folder)
    return ModelCatalogue([replace(spec, defaults=replace(spec.defaults, **SHAPE), min_side=32)])


@pytest.fixture(scope="module")
def image(folder: Path) -> str:
    held = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)).save(held, "PNG")
    name = hashlib.sha256(held.getvalue()).hexdigest()
    (folder.parent / f"{name}.png").write_bytes(held.getvalue())
    return f"sha256:{name}"


def engine_of(catalogue: ModelCatalogue, folder: Path) -> Engine:
    return Engine(catalogue, media_dir=folder.parent, device="cpu")


def asked(catalogue: ModelCatalogue, **fields: Any) -> GenerationRequest:
    return catalogue.complete(GenerationRequest(**{"prompt": "a red ball", "model": "twin", "seed": 1, **fields}))


def run(engine: Engine, request: GenerationRequest, path: Path) -> tuple[Clip, list]:
    events = list(engine.run(request, path))
    assert isinstance(events[-1], Done)
    return events[-1].result, events


def value(engine: Engine, request: GenerationRequest) -> Any:
    steps = execute(called_clip(request, engine.model("twin"), Path("x.mp4")), "call", engine, NodeCache())
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


class Processor:
    """Qwen3-VL's, as far as it can be made without torchvision."""

    def __init__(self, pictures: Any, words: Any) -> None:
        self.image_processor, self._pad = pictures, words.convert_tokens_to_ids("<|image_pad|>")

    def create_mm_token_type_ids(self, rows: list[list[int]]) -> list[list[int]]:
        return [[1 if token == self._pad else 0 for token in row] for row in rows]


def plain(folder: Path, dtype: torch.dtype = torch.float32, transformer: str = "transformer", **inputs: Any) -> dict[str, Any]:
    """The blocks of diffusers by themselves, four points and so three steps."""
    words = Qwen2Tokenizer.from_pretrained(folder, subfolder="tokenizer")
    kinds = {transformer: MiniMaxH3Transformer3DModel, "vae": AutoencoderKLMiniMaxH3, "audio_vae": AutoencoderKLMiniMaxH3Audio}
    own = {transformer: dtype, "vae": torch.float32, "audio_vae": torch.float32}
    parts: dict[str, Any] = {
        name: kind.from_pretrained(folder, subfolder=name, torch_dtype=own[name]).eval() for name, kind in kinds.items()
    }
    parts |= {name: MiniMaxH3Scheduler.from_pretrained(folder, subfolder=name) for name in ("scheduler", "audio_scheduler")}
    parts["text_encoder"] = Qwen3VLForConditionalGeneration.from_pretrained(folder, subfolder="text_encoder", dtype=dtype).eval()
    parts["processor"] = Processor(Qwen2VLImageProcessorPil.from_pretrained(folder, subfolder="processor"), words)
    pipeline = MiniMaxH3Blocks().init_pipeline()
    pipeline.update_components(**parts, tokenizer=words, reference_image_short_edge=32)
    settings = {"height": 32, "width": 64, "num_frames": 124, "num_inference_steps": 4, "output_type": "np"}
    generator = torch.Generator("cpu").manual_seed(1)
    found: dict[str, Any] = pipeline(
        prompt="a red ball", generator=generator, **settings, **inputs, output=["videos", "audio", "sampling_rate"]
    )
    return found


def test_words_become_a_clip_with_sound(catalogue: ModelCatalogue, folder: Path, tmp_path: Path) -> None:
    request = asked(catalogue)
    clip, events = run(engine_of(catalogue, folder), request, tmp_path / "clip.mp4")
    assert [e.step for e in events if isinstance(e, Progress) and e.stage == "denoise"] == [0, 1, 2, 3]
    assert list(dict.fromkeys(e.stage for e in events if isinstance(e, Progress))) == [
        "encode",
        "denoise",
        "decode picture",
        "write",
    ]
    media = read_media(clip.path)
    assert media.frames is not None and media.frames.shape == (124, 32, 64, 3) and media.frame_rate == 24.0
    assert media.sound is not None and len(media.sound.samples) == 2 and read_origin(clip.path).request == request
    assert media.sound.samples.shape[1] / media.sound.sample_rate == pytest.approx(124 / 24, abs=0.1)


@pytest.mark.parametrize("begins_with", ["words", "first_frame"])
def test_it_is_what_diffusers_makes_of_it(catalogue: ModelCatalogue, folder: Path, image: str, begins_with: str) -> None:
    fields, inputs = {}, {}
    if begins_with == "first_frame":
        fields = {"first_frame": image}
        with Image.open(folder.parent / f"{image.removeprefix('sha256:')}.png") as picture:
            inputs = {"image": cover(picture, 32, 64)}
    engine = engine_of(catalogue, folder)
    ours, theirs = value(engine, asked(catalogue, **fields)), plain(folder, **inputs)
    assert np.array_equal(ours.frames, (theirs["videos"][0] * 255).round().astype(np.uint8))
    assert np.array_equal(ours.sound.samples, theirs["audio"][0].numpy()) and ours.sound.sample_rate == theirs["sampling_rate"]
    other = value(engine, asked(catalogue, **fields, seed=2))
    assert not np.array_equal(other.frames, ours.frames) and not np.array_equal(other.sound.samples, ours.sound.samples)


def test_images_are_shown_to_the_second_transformer(tmp_path: Path) -> None:
    folder = tmp_path / "twin"
    twin.save(folder, transformer="transformer_ref")
    spec = spec_from_folder("twin", folder)
    assert "transformer_ref/*" in spec.files and "transformer/*" not in spec.files and spec.begins_with == ("references",)
    catalogue = ModelCatalogue([replace(spec, defaults=replace(spec.defaults, **SHAPE), min_side=32)])
    names = []
    for colour in ((200, 40, 40), (40, 40, 200)):
        held = io.BytesIO()
        Image.new("RGB", (60, 90), colour).save(held, "PNG")
        names.append(hashlib.sha256(held.getvalue()).hexdigest())
        (tmp_path / f"{names[-1]}.png").write_bytes(held.getvalue())
    references = [f"sha256:{name}" for name in names]
    ours = value(engine_of(catalogue, folder), asked(catalogue, references=references))
    pictures = [Image.open(tmp_path / f"{name}.png").convert("RGB") for name in names]
    theirs = plain(folder, transformer="transformer_ref", references=[MiniMaxH3ImageReference(each) for each in pictures])
    assert np.array_equal(ours.frames, (theirs["videos"][0] * 255).round().astype(np.uint8))
    assert np.array_equal(ours.sound.samples, theirs["audio"][0].numpy())
    turned = value(engine_of(catalogue, folder), asked(catalogue, references=references[::-1]))
    assert not np.array_equal(turned.frames, ours.frames), "their order matters"
    with pytest.raises(InvalidRequest, match="references is missing; twin works from images"):
        asked(catalogue)


def test_closing_cancels_within_a_step(catalogue: ModelCatalogue, folder: Path, tmp_path: Path) -> None:
    engine = engine_of(catalogue, folder)
    calls: list[int] = []
    engine.model("twin").pipeline.transformer.register_forward_pre_hook(lambda *_: calls.append(1))
    events = engine.run(asked(catalogue, num_inference_steps=40), tmp_path / "clip.mp4")
    for _ in itertools.takewhile(lambda e: e != Progress("denoise", 1, 40), events):
        pass
    events.close()
    assert 0 < len(calls) < 38 and not list(tmp_path.iterdir())
    run(engine, asked(catalogue), tmp_path / "clip.mp4")


def test_it_runs_in_the_dtypes_of_a_gpu_and_in_fewer_bits(catalogue: ModelCatalogue, folder: Path, tmp_path: Path) -> None:
    assert np.isfinite(plain(folder, torch.bfloat16)["videos"]).all()
    engine, whole = engine_of(catalogue, folder), engine_of(catalogue, folder)
    run(engine, asked(catalogue, quantization=Quantization.INT4), tmp_path / "clip.mp4")
    held = [weights_bytes(each.model("twin").pipeline.transformer) for each in (engine, whole)]
    assert held[0] < held[1]


@pytest.mark.parametrize(
    ("fields", "name", "words"),
    [
        ({"num_frames": 100}, "num_frames", r"makes 17k\+5 frames from 124 to 360: use 124"),
        ({"num_frames": 500}, "num_frames", "use 345"),
        ({"frame_rate": 25.0}, "frame_rate", "plays 24 frames a second: use 24"),
        ({"negative_prompt": "rain"}, "negative_prompt", "has no use for it"),
        ({"guidance_scale": 3.0}, "guidance_scale", "has no use for it"),
        ({"width": 50}, "width", "works in multiples of 32"),
    ],
)
def test_what_it_cannot_do_is_refused(catalogue: ModelCatalogue, fields: dict, name: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        asked(catalogue, **fields)
    assert refused.value.field == name


def test_its_folder_is_known_whole_or_not(catalogue: ModelCatalogue, folder: Path, tmp_path: Path) -> None:
    spec = catalogue.get("twin")
    assert installed(spec).state == "here" and "transformer_ref/*" not in spec.files and "transformer/*" in spec.files
    found = scan(folder.parent, [])
    assert [each.family for each in found if each.kind == "model folder"] == ["MiniMaxH3ModularPipeline"]
    half = shutil.copytree(folder, tmp_path / "half")
    weights = next((half / "audio_vae").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-100])
    broken = replace(spec, source=str(half))
    assert installed(broken).missing == (f"audio_vae/{weights.name}",)
    with pytest.raises(ModelNotFound, match="could not be loaded; install the model again"):
        list(engine_of(ModelCatalogue([broken]), folder).run(asked(catalogue), tmp_path / "x.mp4"))
