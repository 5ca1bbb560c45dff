"""What ACE-Step 1.5 can do, and which models there are. Settings as diffusers documents them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pipelines.family import LOADER, Call, Family
from pipelines.registry import SOUND_CLOCK, UNGUIDED, Defaults, ModelSpec

_LONGEST_S = 600
_CALL = Call(
    text="AceStepPipeline",
    arguments={
        **{name: name for name in ("prompt", "num_inference_steps", "lyrics")},
        "lyrics_language": "vocal_language",
        "duration_s": "audio_duration",
    },
    # Its own word for music without singing.
    fixed={"lyrics": "[Instrumental]", "guidance_scale": 1.0},
    # It reads 256 and 2,048, of which its own words about the task, the tempo and the length take their share.
    prompt_tokens=190,
    lyrics_tokens=2000,
    has_video=False,
    has_audio=True,
    shortest_s=10.0,
    float32=(),  # its pipeline gives the VAE latents in the transformer's own numbers
)
_GUIDED = replace(
    _CALL,
    arguments={**_CALL.arguments, "guidance_scale": "guidance_scale"},
    fixed={"lyrics": "[Instrumental]"},
)


def _settings(is_turbo: bool) -> Defaults:
    guided = UNGUIDED if is_turbo else UNGUIDED | {"guidance_scale": 7.0}
    return Defaults(**SOUND_CLOCK, num_inference_steps=8 if is_turbo else 50, **guided)


def _read(index: Mapping[str, Any], config_of: Callable[[str], Mapping[str, Any]]) -> Mapping[str, Any]:
    """A folder's steps and guidance, which the turbo checkpoints have learned to do without."""
    transformer = config_of("transformer")
    is_turbo = bool(transformer.get("is_turbo")) or transformer.get("model_version") == "turbo"
    return {
        "call": _CALL if is_turbo else _GUIDED,
        "defaults": _settings(is_turbo),
        "frame_multiple": 1,
        "max_frames": _LONGEST_S * int(SOUND_CLOCK["frame_rate"]),
    }


def _releases() -> tuple[ModelSpec, ...]:
    turbo = ModelSpec(
        id="ace-step-1.5-turbo",
        title="ACE-Step 1.5 XL turbo",
        description="An open model by ACE Studio and StepFun for music and songs alone, from words, in eight steps.",
        source="ACE-Step/acestep-v15-xl-turbo-diffusers",
        loader=LOADER,
        licence="MIT",
        defaults=_settings(is_turbo=True),
        frame_multiple=1,
        max_frames=_LONGEST_S * int(SOUND_CLOCK["frame_rate"]),
        dtype="bfloat16",
        download_bytes=12_000_000_000,
        memory_bytes=11_900_000_000,
        call=_CALL,
    )
    return (
        turbo,
        replace(
            turbo,
            id="ace-step-1.5-base",
            title="ACE-Step 1.5 XL base",
            description="ACE-Step 1.5 before it was distilled: slower, and steered by guidance.",
            source="ACE-Step/acestep-v15-xl-base-diffusers",
            defaults=_settings(is_turbo=False),
            call=_GUIDED,
        ),
    )


FAMILY = Family("ACE-Step", (_CALL.text,), _read, _releases)
