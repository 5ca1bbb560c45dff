"""LTX-2.5 by diffusers' DFR pipeline; all else of LTX-2 runs in the studio's own loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipelines.family import LOADER, Call, Family
from pipelines.registry import UNGUIDED, Defaults, ModelSpec

_CLASS = "pipelines.models.ltx2.dfr:LTX2DFRClip"
_PARTS = ("scheduler", "vae", "audio_vae", "text_encoder", "tokenizer", "connectors", "transformer", "vocoder")
_DFR = Call(
    text=_CLASS,
    image=_CLASS,
    arguments={name: name for name in ("prompt", "height", "width", "num_frames", "frame_rate")},
    prompt_tokens=1024,
    has_audio=True,
    float32=(),
    folders=_PARTS,
)
# Its steps are those that it was distilled for.
_SETTINGS = Defaults(height=704, width=1216, num_frames=121, frame_rate=24.0, num_inference_steps=8, **UNGUIDED)


def _read(index: Mapping[str, Any], config_of: Callable[[str], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Grid of a folder; one with a latent upsampler makes clips in two passes, the first at half the size."""
    vae, transformer = config_of("vae"), config_of("transformer")
    if not transformer.get("use_keyframes_abs_pos_embedding"):
        raise LookupError("its transformer knows no keyframes")
    side = int(vae["spatial_compression_ratio"])
    try:
        has_two = bool(config_of("latent_upsampler"))
    except OSError:
        has_two = False
    side *= 1 + has_two
    return {
        "call": _DFR,
        "defaults": _SETTINGS,
        "frame_multiple": int(vae["temporal_compression_ratio"]),
        "min_frames": 1 + int(vae["temporal_compression_ratio"]),
        "pixel_multiple": side,
        "min_side": 2 * side,
    }


def _releases() -> tuple[ModelSpec, ...]:
    return (
        ModelSpec(
            id="ltx-2.5-dfr",
            title="LTX-2.5 DFR",
            description="LTX-2.5 distilled: eight steps without guidance, with keyframes that it makes beside the clip.",
            source="Lightricks/LTX-2.5-Diffusers",
            loader=LOADER,
            licence="LTX-2.x Community License",
            defaults=_SETTINGS,
            min_frames=9,
            dtype="bfloat16",
            download_bytes=90_000_000_000,
            memory_bytes=68_000_000_000,
            call=_DFR,
        ),
    )


FAMILY = Family("LTX-2.5 DFR", ("LTX2DFRPipeline",), _read, _releases)
