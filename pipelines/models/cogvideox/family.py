"""What CogVideoX's models can do, and which there are. Settings as on their makers' pages (THUDM, zai-org on the hub)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pipelines.contract import ModelNotFound
from pipelines.family import LOADER, Call, Family
from pipelines.registry import UNGUIDED, Defaults, ModelSpec

_TEXT = Call(text="CogVideoXPipeline", fixed={"max_sequence_length": 226}, prompt_tokens=226, float32=())
_IMAGE = replace(_TEXT, text="", image="CogVideoXImageToVideoPipeline")


def _settings(**shape: Any) -> Defaults:
    return Defaults(**shape, num_inference_steps=50, **UNGUIDED | {"guidance_scale": 6.0})


_OLD = _settings(height=480, width=720, num_frames=49, frame_rate=8.0)
_NEW = _settings(height=768, width=1360, num_frames=81, frame_rate=16.0)


def _read(index: Mapping[str, Any], config_of: Callable[[str], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Grid and call of a folder; 1.5 is known by its patches in time.

    Raises ``ModelNotFound`` for a model with learned positions, which are of one size and length alone.
    """
    vae, transformer = config_of("vae"), config_of("transformer")
    if transformer.get("use_learned_positional_embeddings"):
        raise ModelNotFound(
            "model is a CogVideoX that learned its positions for one size and length, which the studio does not keep to: "
            "use CogVideoX 1.5.",
            field="model",
        )
    side = 2 ** (len(vae["block_out_channels"]) - 1) * int(transformer["patch_size"])
    tokens = int(transformer.get("max_text_seq_length", 226))
    is_new = transformer.get("patch_size_t") is not None
    call = _IMAGE if index["_class_name"] == _IMAGE.image else _TEXT
    return {
        "call": replace(call, fixed={"max_sequence_length": tokens}, prompt_tokens=tokens),
        "defaults": _NEW if is_new else _OLD,
        "frame_multiple": int(vae.get("temporal_compression_ratio", 4)),
        "pixel_multiple": side,
        "min_side": 2 * side,
        "max_side": 1360,
        "max_frames": 161 if is_new else 49,
    }


def _releases() -> tuple[ModelSpec, ...]:
    small = ModelSpec(
        id="cogvideox-2b",
        title="CogVideoX, 2 B",
        description="A small open model by Zhipu: a picture without sound, from words.",
        source="THUDM/CogVideoX-2b",
        loader=LOADER,
        licence="Apache-2.0",
        defaults=_OLD,
        frame_multiple=4,
        pixel_multiple=16,
        max_side=1360,
        max_frames=49,
        dtype="float16",
        download_bytes=13_800_000_000,
        memory_bytes=13_400_000_000,
        call=_TEXT,
    )
    large = replace(
        small,
        id="cogvideox-5b",
        title="CogVideoX, 5 B",
        description="The larger one: a picture without sound, from words.",
        source="THUDM/CogVideoX-5b",
        licence="CogVideoX License",
        dtype="bfloat16",
        download_bytes=21_500_000_000,
        memory_bytes=21_100_000_000,
    )
    new = replace(
        large,
        id="cogvideox-1.5-5b",
        title="CogVideoX 1.5, 5 B",
        description="Larger and longer clips than CogVideoX: a picture without sound, from words.",
        source="THUDM/CogVideoX1.5-5B",
        defaults=_NEW,
        max_frames=161,
    )
    image = replace(
        new,
        id="cogvideox-1.5-image-5b",
        title="CogVideoX 1.5, 5 B from a picture",
        description="Sets a picture in motion, without sound. Needs a first frame.",
        source="THUDM/CogVideoX1.5-5B-I2V",
        call=_IMAGE,
    )
    return small, large, new, image


FAMILY = Family("CogVideoX", (_TEXT.text, _IMAGE.image), _read, _releases)
