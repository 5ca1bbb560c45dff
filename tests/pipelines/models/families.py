"""The families' tiny twins, each with the plain call of diffusers that the studio's clip must equal."""

from __future__ import annotations

import hashlib
import importlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image
from transformers import Qwen2Tokenizer

from pipelines.conditioning import cover
from pipelines.contract import GenerationRequest
from pipelines.engine import Engine
from pipelines.models.prompt_cleaning import repair
from pipelines.registry import ModelCatalogue, spec_from_folder

SHAPE = {"height": 64, "width": 96, "num_frames": 9, "num_inference_steps": 3}


@dataclass(frozen=True)
class Case:
    """One pipeline class of a family: how its twin is built, and what its plain call takes beside the request's fields."""

    family: str
    kind: str
    pipeline: str
    begins_with: tuple[str, ...] = ("words",)
    image: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    guider: bool = False
    reads_size: bool = False
    """Whether the pipeline reads the size off the first frame."""

    def __str__(self) -> str:
        return f"{self.family}-{self.kind}{'-image' if self.image else ''}"


_FORCED = {"max_sequence_length": 512, "base_num_frames": 97, "overlap_history": 17, "addnoise_condition": 20}
CASES = (
    Case("wan", "text", "WanPipeline", extra={"max_sequence_length": 512}),
    Case("wan", "image", "WanImageToVideoPipeline", ("first_frame",), True, {"max_sequence_length": 512}),
    Case("wan", "both", "WanPipeline", ("words", "first_frame"), extra={"max_sequence_length": 512}),
    Case("wan", "both", "WanImageToVideoPipeline", ("words", "first_frame"), True, {"max_sequence_length": 512}),
    Case("wan", "pair", "WanPipeline", extra={"max_sequence_length": 512}),
    Case("wan", "vace", "WanVACEPipeline", ("words", "first_frame"), extra={"max_sequence_length": 512}),
    Case("wan", "vace", "WanVACEPipeline", ("words", "first_frame"), True, {"max_sequence_length": 512}),
    Case("cogvideox", "text", "CogVideoXPipeline", extra={"max_sequence_length": 226}),
    Case("cogvideox", "new", "CogVideoXPipeline", extra={"max_sequence_length": 226}),
    Case("cogvideox", "image", "CogVideoXImageToVideoPipeline", ("first_frame",), True, {"max_sequence_length": 226}),
    Case("hunyuanvideo15", "text", "HunyuanVideo15Pipeline", guider=True),
    Case("hunyuanvideo15", "image", "HunyuanVideo15ImageToVideoPipeline", ("first_frame",), True, guider=True, reads_size=True),
    Case("skyreels", "text", "SkyReelsV2Pipeline", extra={"max_sequence_length": 512}),
    Case("skyreels", "image", "SkyReelsV2ImageToVideoPipeline", ("first_frame",), True, {"max_sequence_length": 512}),
    Case("skyreels", "forcing", "SkyReelsV2DiffusionForcingPipeline", ("words", "first_frame"), extra=_FORCED),
    Case("skyreels", "forcing", "SkyReelsV2DiffusionForcingImageToVideoPipeline", ("words", "first_frame"), True, _FORCED),
    Case("kandinsky6", "both", "Kandinsky6TI2VAPipeline", ("words", "first_frame"), extra={"frame_rate": 24.0}),
    Case("kandinsky6", "both", "Kandinsky6TI2VAPipeline", ("words", "first_frame"), True, {"frame_rate": 24.0}),
    Case("kandinsky6", "silent", "Kandinsky6TI2VAPipeline", extra={"sample_audio": False}),
)


@dataclass(frozen=True)
class Stand:
    """A twin on disk, what is known of it, and a folder of images."""

    case: Case
    folder: Path
    media: Path

    @cached_property
    def catalogue(self) -> ModelCatalogue:
        spec = spec_from_folder("twin", self.folder)
        return ModelCatalogue([replace(spec, defaults=replace(spec.defaults, **SHAPE))])

    def engine(self) -> Engine:
        return Engine(self.catalogue, media_dir=self.media, device="cpu")

    def asked(self, **fields: Any) -> dict[str, Any]:
        begun = {"first_frame": self.image()} if self.case.image else {}
        return {"prompt": "a red ball", "negative_prompt": "rain", "model": "twin", "seed": 1, **begun, **fields}

    def request(self, **fields: Any) -> GenerationRequest:
        return self.catalogue.complete(GenerationRequest(**self.asked(**fields)))

    def plain(self, request: GenerationRequest) -> Any:
        """What diffusers makes of it by itself."""
        return self.called(self.pipeline(torch.float32), request)

    def pipeline(self, dtype: Any) -> Any:
        """The class, from the folder."""
        kind = getattr(diffusers, self.case.pipeline)
        repair(kind)
        if self.case.family != "kandinsky6":
            return kind.from_pretrained(self.folder, dtype=dtype)
        pipeline = kind.from_pretrained(self.folder, dtype=dtype, tokenizer=None)  # whose class needs torchvision
        pipeline.register_modules(tokenizer=Qwen2Tokenizer.from_pretrained(self.folder, subfolder="tokenizer"))
        return pipeline

    def called(self, pipeline: Any, request: GenerationRequest) -> Any:
        """One call of ``pipeline``, as its documentation shows it."""
        pipeline.set_progress_bar_config(disable=True)
        names = ("prompt", "negative_prompt", "height", "width", "num_frames", "num_inference_steps", "guidance_scale")
        arguments = {name: getattr(request, name) for name in names} | dict(self.case.extra)
        if self.case.reads_size:
            del arguments["height"], arguments["width"]
        if self.case.guider:
            pipeline.guider = pipeline.guider.new(guidance_scale=arguments.pop("guidance_scale"))
        ends = {0: request.first_frame, request.num_frames - 1: request.last_frame}
        pictures = {frame: self._picture(each, request) for frame, each in ends.items() if each}
        if pictures:
            arguments |= _between(pictures, request.num_frames) if self.case.kind == "vace" else {"image": pictures[0]}
        torch.manual_seed(request.seed)  # diffusion forcing throws torch's own dice
        return pipeline(**arguments, generator=torch.Generator("cpu").manual_seed(request.seed), output_type="np")

    def _picture(self, reference: str, request: GenerationRequest) -> Image.Image:
        with Image.open(self.media / f"{reference.removeprefix('sha256:')}.png") as image:
            return cover(image, request.height, request.width)

    def image(self) -> str:
        """The reference of a stored picture that has another shape than the clip."""
        held = io.BytesIO()
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)).save(held, "PNG")
        name = hashlib.sha256(held.getvalue()).hexdigest()
        self.media.mkdir(exist_ok=True)
        (self.media / f"{name}.png").write_bytes(held.getvalue())
        return f"sha256:{name}"


def _between(pictures: dict[int, Image.Image], count: int) -> dict[str, Any]:
    """A clip with these frames as VACE is given it: grey and a white mask where something is to come."""
    size = next(iter(pictures.values())).size
    video = [pictures.get(frame) or Image.new("RGB", size, (128, 128, 128)) for frame in range(count)]
    return {"video": video, "mask": [Image.new("L", size, 0 if frame in pictures else 255) for frame in range(count)]}


def stand_for(case: Case, folder: Path) -> Stand:
    """Build the twin of ``case`` below ``folder``."""
    twin = importlib.import_module(f"pipelines.models.{case.family}.twin")
    twin.build(case.kind).save_pretrained(folder / "twin")
    if hasattr(twin, "as_released"):
        twin.as_released(folder / "twin")
    return Stand(case, folder / "twin", folder / "media")
