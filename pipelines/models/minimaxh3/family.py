"""What MiniMax-H3 can do. Settings as diffusers and the model's page show them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil, prod
from typing import Any

from pipelines.family import LOADER, Call, Family, References
from pipelines.registry import UNGUIDED, Defaults, ModelSpec

_CLASS = "pipelines.models.minimaxh3.pipeline:MiniMaxH3Pipeline"
_CALL = Call(
    text=_CLASS,
    image=_CLASS,
    arguments={name: name for name in ("prompt", "height", "width", "num_frames", "num_inference_steps")},
    prompt_tokens=4096,
    has_audio=True,
    # Its processor, which also reads films, needs torchvision; a first frame needs the part for pictures alone.
    parts={"processor": "Qwen2VLImageProcessorPil"},
    float32=("vae", "audio_vae"),
    index="modular_model_index.json",
    # Beside them lies a second transformer as large as the first, which works from references.
    folders=("audio_scheduler", "audio_vae", "processor", "scheduler", "text_encoder", "tokenizer", "transformer", "vae"),
)
# It is shown films too; what reads those needs torchvision.
_FROM_REFERENCES = replace(
    _CALL,
    text="pipelines.models.minimaxh3.pipeline:MiniMaxH3ReferencePipeline",
    image="",
    references=References(images=9, are_needed=True),
    folders=tuple("transformer_ref" if name == "transformer" else name for name in _CALL.folders),
)
_FPS = 24.0
_SECONDS = (5, 15)


def _grid(clip_length: int, temporal: int) -> dict[str, Any]:
    """Clips are decoded in pieces of ``clip_length`` frames, and the last of them is shorter."""
    return {
        "frame_multiple": clip_length,
        "frame_offset": ceil(clip_length / temporal),
        "min_frames": int(_SECONDS[0] * _FPS),
        "max_frames": int(_SECONDS[1] * _FPS),
        "frame_rates": (_FPS, _FPS),
    }


def _settings() -> Defaults:
    return Defaults(height=768, width=1344, num_frames=124, frame_rate=_FPS, num_inference_steps=24, **UNGUIDED)


def _read(index: Mapping[str, Any], config_of: Callable[[str], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Grid of a folder; one that has the second transformer alone works from references."""
    vae, call = config_of("vae"), _CALL
    try:
        transformer = config_of("transformer")
    except FileNotFoundError:
        transformer, call = config_of("transformer_ref"), _FROM_REFERENCES
    side = prod(vae["spatial_downsample_factors"]) * max(int(size) for size in transformer["patch_size"][1:])
    return {
        "call": call,
        "defaults": _settings(),
        "pixel_multiple": side,
        "min_side": 2 * side,
        "max_side": 1344,
        **_grid(int(vae["clip_length"]), prod(vae["temporal_downsample_factors"])),
    }


def _releases() -> tuple[ModelSpec, ...]:
    from_words = ModelSpec(
        id="minimax-h3",
        title="MiniMax-H3",
        description="MiniMax's open 33 B model: picture and stereo sound together, 5 to 15 s. Needs a GPU of 80 GB.",
        source="MiniMaxAI/MiniMax-H3",
        loader=LOADER,
        licence="licence on the model's page",
        defaults=_settings(),
        pixel_multiple=32,
        min_side=64,
        max_side=1344,
        dtype="bfloat16",
        download_bytes=132_000_000_000,
        memory_bytes=131_000_000_000,
        call=_CALL,
        **_grid(17, 4),
    )
    from_references = replace(
        from_words,
        id="minimax-h3-references",
        title="MiniMax-H3 from references",
        description="The same with up to nine images of what is to be seen: people, things, styles. Needs a GPU of 80 GB.",
        call=_FROM_REFERENCES,
    )
    return from_words, from_references


FAMILY = Family("MiniMax-H3", ("MiniMaxH3ModularPipeline",), _read, _releases)
