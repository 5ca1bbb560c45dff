"""What Wan's models can do, and which there are. Settings and sizes as on their makers' pages (Wan-AI on the hub)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pipelines.family import LOADER, OF_EVERY_CALL, Call, Family, References
from pipelines.registry import UNGUIDED, Defaults, ModelSpec

_FIXED = {"max_sequence_length": 512}
_FLOAT32 = ("vae", "image_encoder")
_TEXT = Call(text="WanPipeline", fixed=_FIXED, float32=_FLOAT32)
_IMAGE = replace(_TEXT, text="", image="WanImageToVideoPipeline")
_BOTH = replace(_TEXT, image="WanImageToVideoPipeline")
_VACE = replace(_TEXT, text="WanVACEPipeline", fills=True, references=References(images=3, clips=1))
_ANIMATE = replace(
    _TEXT,
    text="WanAnimatePipeline",
    # As many frames as the clip of the pose has, in pieces of 77.
    arguments={name: argument for name, argument in OF_EVERY_CALL.items() if name != "num_frames"},
    references=References(images=1, clips=4, are_needed=True, roles=("pose", "face", "background", "mask")),
    pieces=(77, 1),
)


def _settings(guidance_scale: float = 5.0, **changes: Any) -> Defaults:
    shape: dict[str, Any] = {"height": 480, "width": 832, "num_frames": 81, "frame_rate": 16.0, "num_inference_steps": 50}
    return Defaults(**shape | UNGUIDED | {"guidance_scale": guidance_scale} | changes)


_USUAL: Mapping[str, Any] = {"defaults": _settings(), "max_frames": 81}
_LARGE: Mapping[str, Any] = {
    "defaults": _settings(height=704, width=1280, num_frames=121, frame_rate=24.0),
    "max_frames": 121,
}
_ACTING: Mapping[str, Any] = {
    "defaults": _settings(1.0, height=720, width=1280, num_frames=77, frame_rate=30.0, num_inference_steps=20),
    "max_frames": 305,
}
_BY_CLASS = {_TEXT.text: _TEXT, _IMAGE.image: _IMAGE, _VACE.text: _VACE, _ANIMATE.text: _ANIMATE}


def _read(index: Mapping[str, Any], config_of: Callable[[str], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Grid and call of a folder; of those that begin with words, Wan 2.2's 5 B alone begins with a first frame too."""
    vae, transformer = config_of("vae"), config_of("transformer")
    side = int(vae.get("scale_factor_spatial", 8)) * int(transformer["patch_size"][1])
    call = _BY_CLASS[index["_class_name"]]
    if call is _TEXT and index.get("expand_timesteps") and transformer.get("image_dim") is None:
        call = _BOTH
    return {
        "call": call,
        "frame_multiple": int(vae.get("scale_factor_temporal", 4)),
        "pixel_multiple": side,
        "min_side": 2 * side,
        **(_LARGE if call is _BOTH else _ACTING if call is _ANIMATE else _USUAL),
    }


def _releases() -> tuple[ModelSpec, ...]:
    wan = ModelSpec(
        id="wan-2.1-1.3b",
        title="Wan 2.1, 1.3 B",
        description="Alibaba's small open model: a picture without sound, from words.",
        source="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        loader=LOADER,
        licence="Apache-2.0",
        **_USUAL,
        frame_multiple=4,
        pixel_multiple=16,
        max_side=1280,
        dtype="bfloat16",
        download_bytes=29_000_000_000,
        memory_bytes=14_500_000_000,
        call=_TEXT,
    )
    large: dict[str, Any] = {"download_bytes": 80_500_000_000, "memory_bytes": 40_500_000_000}
    pair: dict[str, Any] = {"download_bytes": 126_000_000_000, "memory_bytes": 69_000_000_000}
    hd: dict[str, Any] = {"height": 720, "width": 1280, "num_inference_steps": 40}
    return (
        wan,
        replace(
            wan,
            id="wan-2.1-14b",
            title="Wan 2.1, 14 B",
            description="Alibaba's large open model: a picture without sound, from words. Needs a large GPU.",
            source="Wan-AI/Wan2.1-T2V-14B-Diffusers",
            **large,
        ),
        replace(
            wan,
            id="wan-2.1-image-14b",
            title="Wan 2.1, 14 B from a picture",
            description="Sets a picture in motion, without sound. Needs a first frame and a large GPU.",
            source="Wan-AI/Wan2.1-I2V-14B-480P-Diffusers",
            call=_IMAGE,
            download_bytes=91_000_000_000,
            memory_bytes=46_000_000_000,
        ),
        replace(
            wan,
            id="wan-2.2-5b",
            title="Wan 2.2, 5 B",
            description="Alibaba's newer open model: a picture without sound, from words or from a first frame.",
            source="Wan-AI/Wan2.2-TI2V-5B-Diffusers",
            **_LARGE,
            pixel_multiple=32,
            call=_BOTH,
            download_bytes=34_000_000_000,
            memory_bytes=24_000_000_000,
        ),
        replace(
            wan,
            id="wan-2.2-14b",
            title="Wan 2.2, two times 14 B",
            description="One model for strong noise, one for weak: a picture without sound, from words. Needs a large GPU.",
            source="Wan-AI/Wan2.2-T2V-A14B-Diffusers",
            defaults=_settings(4.0, **hd),
            **pair,
        ),
        replace(
            wan,
            id="wan-2.2-image-14b",
            title="Wan 2.2, two times 14 B from a picture",
            description="Sets a picture in motion, without sound. Needs a first frame and a large GPU.",
            source="Wan-AI/Wan2.2-I2V-A14B-Diffusers",
            defaults=_settings(3.5, **hd),
            call=_IMAGE,
            **pair,
        ),
        *_editors(wan),
    )


def _editors(wan: ModelSpec) -> tuple[ModelSpec, ...]:
    return (
        replace(
            wan,
            id="wan-2.1-vace-1.3b",
            title="Wan 2.1 VACE, 1.3 B",
            description="Edits the picture of any clip, and makes clips without sound: from words, a first frame, or references.",
            source="Wan-AI/Wan2.1-VACE-1.3B-diffusers",
            call=_VACE,
            download_bytes=19_100_000_000,
            memory_bytes=15_500_000_000,
        ),
        replace(
            wan,
            id="wan-2.1-vace-14b",
            title="Wan 2.1 VACE, 14 B",
            description="The large one of those that edit the picture of any clip. Needs a large GPU.",
            source="Wan-AI/Wan2.1-VACE-14B-diffusers",
            call=_VACE,
            download_bytes=46_600_000_000,
            memory_bytes=46_500_000_000,
        ),
        replace(
            wan,
            id="wan-2.2-animate-14b",
            title="Wan 2.2 Animate, 14 B",
            description="Makes a character act: moves as the poses and the face of a film, or takes somebody's place in it.",
            source="Wan-AI/Wan2.2-Animate-14B-Diffusers",
            **_ACTING,
            call=_ANIMATE,
            download_bytes=82_300_000_000,
            memory_bytes=48_500_000_000,
        ),
    )


FAMILY = Family("Wan", tuple(_BY_CLASS), _read, _releases)
