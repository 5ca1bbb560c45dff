"""What Stable Audio 3 can do, and which models there are. Settings as diffusers documents them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pipelines.family import LOADER, Call, Family
from pipelines.registry import SOUND_CLOCK, UNGUIDED, Defaults, ModelSpec

_LONGEST_S = 380
_CALL = Call(
    text="StableAudio3Pipeline",
    arguments={
        **{name: name for name in ("prompt", "negative_prompt", "num_inference_steps", "guidance_scale")},
        "duration_s": "duration",
    },
    prompt_tokens=256,
    has_video=False,
    has_audio=True,
)


def _settings(is_distilled: bool) -> Defaults:
    """In eight steps without guidance, or in a hundred with it."""
    steps = {"num_inference_steps": 8} if is_distilled else {"num_inference_steps": 100, "guidance_scale": 7.0}
    return Defaults(**SOUND_CLOCK, **UNGUIDED | steps)


def _read(index: Mapping[str, Any], config_of: Callable[[str], Mapping[str, Any]]) -> Mapping[str, Any]:
    """A folder's steps and length. The distilled checkpoints are those whose scheduler draws noise anew at every step."""
    longest_s = min(_LONGEST_S, int(config_of("duration_embedder").get("max_val", _LONGEST_S)))
    return {
        "call": _CALL,
        "defaults": _settings(bool(config_of("scheduler").get("stochastic_sampling"))),
        "frame_multiple": 1,
        "max_frames": longest_s * int(SOUND_CLOCK["frame_rate"]),
    }


def _releases() -> tuple[ModelSpec, ...]:
    medium = ModelSpec(
        id="stable-audio-3",
        title="Stable Audio 3, medium",
        description="Stability AI's open model for sound alone: music and effects from words, in stereo, up to six minutes.",
        source="stabilityai/stable-audio-3-medium",
        loader=LOADER,
        licence="Stability AI Community License",
        defaults=_settings(is_distilled=True),
        frame_multiple=1,
        max_frames=_LONGEST_S * int(SOUND_CLOCK["frame_rate"]),
        dtype="bfloat16",
        call=_CALL,
    )
    return (
        medium,
        replace(
            medium,
            id="stable-audio-3-base",
            title="Stable Audio 3, medium, base",
            description="Stable Audio 3 before it learned to make do with eight steps: slower, and steered by guidance.",
            source="stabilityai/stable-audio-3-medium-base",
            defaults=_settings(is_distilled=False),
        ),
    )


FAMILY = Family("Stable Audio 3", (_CALL.text,), _read, _releases)
