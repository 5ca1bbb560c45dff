"""What HunyuanVideo 1.5 can do, and which models there are. Settings as on their maker's page (tencent/HunyuanVideo-1.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pipelines.family import LOADER, OF_EVERY_CALL, Call, Family
from pipelines.registry import UNGUIDED, Defaults, ModelSpec

_ARGUMENTS = {**OF_EVERY_CALL, "guidance_scale": "guider.guidance_scale"}
_TEXT = Call(text="HunyuanVideo15Pipeline", arguments=_ARGUMENTS, prompt_tokens=1000)
# It reads its size off the first frame.
_IMAGE = Call(
    image="HunyuanVideo15ImageToVideoPipeline",
    arguments={name: argument for name, argument in _ARGUMENTS.items() if name not in ("height", "width")},
    prompt_tokens=1000,
)
_SHARPEST = 4.0
"""The longest side, times the shortest."""


def _sizes(target: int, side: int) -> tuple[tuple[int, int], ...]:
    """Heights and widths of about ``target`` x ``target`` pixels in steps of ``side``, as the model was trained on.

    Source: ``generate_crop_size_list`` and ``get_closest_ratio`` of HunyuanVideo-1.5, by which the pipeline chooses.
    """
    patches = round((target / side) ** 2)
    found: dict[float, tuple[int, int]] = {}
    high, wide = patches, 1
    while high > 0:
        if max(high, wide) / min(high, wide) <= _SHARPEST:
            found.setdefault(round(high / wide, 5), (high * side, wide * side))
        if (wide + 1) * high <= patches:
            wide += 1
        else:
            high -= 1
    # Rounded beyond what they are, some shapes are never chosen.
    return tuple(size for ratio, size in found.items() if (ratio - size[0] / size[1]) * (size[0] - size[1]) <= 0)


def _settings(height: int, width: int) -> Defaults:
    guided = UNGUIDED | {"guidance_scale": 6.0}
    return Defaults(height=height, width=width, num_frames=121, frame_rate=24.0, num_inference_steps=50, **guided)


def _read(index: Mapping[str, Any], config_of: Callable[[str], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Grid and call of a folder; one that begins with a first frame has sizes of its own."""
    vae, transformer = config_of("vae"), config_of("transformer")
    side = int(vae["spatial_compression_ratio"]) * int(transformer.get("patch_size", 1))
    target = int(transformer.get("target_size", 640))
    sizes = _sizes(target, int(vae["spatial_compression_ratio"]))
    begins_with_image = index["_class_name"] == _IMAGE.image
    return {
        "call": _IMAGE if begins_with_image else _TEXT,
        "defaults": _settings(*_widest(sizes)),
        "frame_multiple": int(vae["temporal_compression_ratio"]),
        "pixel_multiple": side,
        "min_side": 2 * side,
        "max_frames": 241,
        "sizes": sizes if begins_with_image else (),
    }


def _widest(sizes: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """The one nearest to 16:9, as television is."""
    return min(sizes, key=lambda size: abs(size[1] / size[0] - 16 / 9))


def _releases() -> tuple[ModelSpec, ...]:
    text = ModelSpec(
        id="hunyuanvideo-1.5",
        title="HunyuanVideo 1.5",
        description="Tencent's open model of 8 B: a picture without sound, from words.",
        source="hunyuanvideo-community/HunyuanVideo-1.5-480p_t2v",
        loader=LOADER,
        licence="Tencent Hunyuan Community License",
        defaults=_settings(*_widest(_sizes(640, 16))),
        frame_multiple=4,
        pixel_multiple=16,
        max_frames=241,
        dtype="bfloat16",
        download_bytes=36_500_000_000,
        memory_bytes=36_000_000_000,
        call=_TEXT,
    )
    return (
        text,
        replace(
            text,
            id="hunyuanvideo-1.5-image",
            title="HunyuanVideo 1.5 from a picture",
            description="Sets a picture in motion, without sound. Needs a first frame.",
            source="hunyuanvideo-community/HunyuanVideo-1.5-480p_i2v",
            call=_IMAGE,
            sizes=_sizes(640, 16),
            download_bytes=37_400_000_000,
            memory_bytes=36_900_000_000,
        ),
    )


FAMILY = Family("HunyuanVideo 1.5", (_TEXT.text, _IMAGE.image), _read, _releases)
