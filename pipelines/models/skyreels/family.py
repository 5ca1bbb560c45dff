"""What SkyReels V2's models can do, and which there are. Settings as diffusers shows them (Skywork on the hub)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pipelines.family import LOADER, Call, Family
from pipelines.registry import UNGUIDED, Defaults, ModelSpec

_TEXT = Call(text="SkyReelsV2Pipeline", fixed={"max_sequence_length": 512}, float32=("vae", "image_encoder"))
_IMAGE = replace(_TEXT, text="", image="SkyReelsV2ImageToVideoPipeline")


def _settings(guidance_scale: float) -> Defaults:
    guided = UNGUIDED | {"guidance_scale": guidance_scale}
    return Defaults(height=544, width=960, num_frames=97, frame_rate=24.0, num_inference_steps=50, **guided)


def _read(index: Mapping[str, Any], config_of: Callable[[str], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Grid and call of a folder. Diffusion forcing, which makes clips of any length in pieces, is another pipeline."""
    vae, transformer = config_of("vae"), config_of("transformer")
    side = int(vae.get("scale_factor_spatial", 8)) * int(transformer["patch_size"][1])
    begins_with_image = index["_class_name"] == _IMAGE.image
    return {
        "call": _IMAGE if begins_with_image else _TEXT,
        "defaults": _settings(5.0 if begins_with_image else 6.0),
        "frame_multiple": int(vae.get("scale_factor_temporal", 4)),
        "pixel_multiple": side,
        "min_side": 2 * side,
        "max_frames": 121,
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
    )


FAMILY = Family("SkyReels V2", (_TEXT.text, _IMAGE.image), _read, _releases)
