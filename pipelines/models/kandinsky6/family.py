"""What Kandinsky 6 can do, and which models there are. Settings as diffusers shows them for the distilled model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pipelines.family import LOADER, OF_EVERY_CALL, Call, Family
from pipelines.registry import UNGUIDED, Defaults, ModelSpec

_CLASS = "Kandinsky6TI2VAPipeline"
_BOTH = Call(
    text=_CLASS,
    image=_CLASS,
    arguments={**OF_EVERY_CALL, "frame_rate": "frame_rate"},
    fixed={"max_sequence_length": 1024, "sample_audio": True},
    prompt_tokens=1024,
    has_audio=True,
    # Its processor, which also reads pictures and films, needs torchvision; words need the tokenizer within it alone.
    parts={"tokenizer": "Qwen2Tokenizer"},
)


def _settings(**steps: Any) -> Defaults:
    return Defaults(height=480, width=864, num_frames=121, frame_rate=24.0, **UNGUIDED | steps)


def _read(index: Mapping[str, Any], config_of: Callable[[str], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Grid and call of a folder: one without an audio VAE is silent, one without token types cannot begin with a first frame."""
    vae, transformer = config_of("vae"), config_of("transformer")
    has_audio = (index.get("audio_vae") or [None])[0] is not None
    sees = bool(transformer.get("visual_cond", True)) and int(transformer.get("visual_token_type_num_embeddings") or 0) >= 2
    side = int(vae["spatial_compression_ratio"]) * max(int(size) for size in transformer["patch_size"][1:])
    return {
        "call": replace(
            _BOTH, image=_CLASS if sees else "", has_audio=has_audio, fixed={**_BOTH.fixed, "sample_audio": has_audio}
        ),
        "defaults": _settings(num_inference_steps=50, guidance_scale=5.0),
        "frame_multiple": int(vae["temporal_compression_ratio"]),
        "pixel_multiple": side,
        "min_side": 2 * side,
        "max_frames": 121,
    }


def _releases() -> tuple[ModelSpec, ...]:
    return (
        ModelSpec(
            id="kandinsky-6-distilled",
            title="Kandinsky 6 Pro, distilled",
            description="An open model by Kandinsky Lab: picture and sound together, in 16 steps without guidance.",
            source="kandinskylab/Kandinsky-6.0-Pro-distill-5s-Diffusers",
            loader=LOADER,
            licence="licence on the model's page",
            defaults=_settings(num_inference_steps=16),
            frame_multiple=4,
            pixel_multiple=16,
            max_side=1280,
            max_frames=121,
            dtype="bfloat16",
            call=_BOTH,
        ),
    )


FAMILY = Family("Kandinsky 6", (_CLASS,), _read, _releases)
