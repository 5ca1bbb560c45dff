"""What SkyReels V2's models can do, and which there are. Settings as diffusers shows them (Skywork on the hub)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pipelines.family import LOADER, Call, Family
from pipelines.registry import UNGUIDED, Defaults, ModelSpec

_TEXT = Call(text="SkyReelsV2Pipeline", fixed={"max_sequence_length": 512}, float32=("vae", "image_encoder"))
_IMAGE = replace(_TEXT, text="", image="SkyReelsV2ImageToVideoPipeline")
_LENGTH, _OVERLAP = 97, 17
_FORCING = Call(
    text="SkyReelsV2DiffusionForcingPipeline",
    image="SkyReelsV2DiffusionForcingImageToVideoPipeline",
    # A little noise on what a piece begins with keeps long clips from drifting.
    fixed={"max_sequence_length": 512, "base_num_frames": _LENGTH, "overlap_history": _OVERLAP, "addnoise_condition": 20},
    pieces=(_LENGTH, _OVERLAP),
)
_LONGEST = 737


def _settings(guidance_scale: float) -> Defaults:
    guided = UNGUIDED | {"guidance_scale": guidance_scale}
    return Defaults(height=544, width=960, num_frames=97, frame_rate=24.0, num_inference_steps=50, **guided)


def _read(index: Mapping[str, Any], config_of: Callable[[str], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Grid and call of a folder. Diffusion forcing makes longer clips in pieces, from words or a first frame alike."""
    vae, transformer = config_of("vae"), config_of("transformer")
    side = int(vae.get("scale_factor_spatial", 8)) * int(transformer["patch_size"][1])
    call = next(call for call in (_FORCING, _IMAGE, _TEXT) if index["_class_name"] in (call.text, call.image))
    return {
        "call": call,
        "defaults": _settings(5.0 if call is _IMAGE else 6.0),
        "frame_multiple": int(vae.get("scale_factor_temporal", 4)),
        "pixel_multiple": side,
        "min_side": 2 * side,
        "max_frames": _LONGEST if call is _FORCING else 121,
    }


def _releases() -> tuple[ModelSpec, ...]:
    text = ModelSpec(
        id="skyreels-v2-14b",
        title="SkyReels V2, 14 B",
        description="Skywork's open model for films: a picture without sound, from words. Needs a large GPU.",
        source="Skywork/SkyReels-V2-T2V-14B-540P-Diffusers",
        loader=LOADER,
        licence="Skywork License",
        defaults=_settings(6.0),
        frame_multiple=4,
        pixel_multiple=16,
        max_side=1280,
        max_frames=121,
        dtype="bfloat16",
        download_bytes=41_000_000_000,
        memory_bytes=40_500_000_000,
        call=_TEXT,
    )
    return (
        text,
        replace(
            text,
            id="skyreels-v2-image-1.3b",
            title="SkyReels V2, 1.3 B from a picture",
            description="Sets a picture in motion, without sound. Needs a first frame.",
            source="Skywork/SkyReels-V2-I2V-1.3B-540P-Diffusers",
            defaults=_settings(5.0),
            call=_IMAGE,
            download_bytes=18_000_000_000,
            memory_bytes=17_500_000_000,
        ),
        replace(
            text,
            id="skyreels-v2-long-14b",
            title="SkyReels V2 for long clips, 14 B",
            description="Skywork's diffusion forcing: clips of up to half a minute, made in pieces that follow from each other.",
            source="Skywork/SkyReels-V2-DF-14B-540P-Diffusers",
            max_frames=_LONGEST,
            call=_FORCING,
        ),
        replace(
            text,
            id="skyreels-v2-long-1.3b",
            title="SkyReels V2 for long clips, 1.3 B",
            description="The small one of Skywork's diffusion forcing: up to half a minute, from words or a first frame.",
            source="Skywork/SkyReels-V2-DF-1.3B-540P-Diffusers",
            max_frames=_LONGEST,
            call=_FORCING,
            download_bytes=15_000_000_000,
            memory_bytes=14_500_000_000,
        ),
    )


FAMILY = Family("SkyReels V2", (_TEXT.text, _IMAGE.image, _FORCING.text, _FORCING.image), _read, _releases)
