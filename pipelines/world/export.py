"""The world as a normal folder dataset: MP4 clips, their words, attributes and events, for any trainer or checker of data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.clip_io import Origin, Sound, write_clip
from pipelines.contract import GenerationRequest
from pipelines.world import WorldClip, make_clip
from pipelines.world.captions import caption
from pipelines.world.motion import Events
from pipelines.world.scene import draw, is_held_out, sample, sound_class

RECORDS = "metadata.jsonl"
_WORDINGS = 4


def export_clips(folder: Path, count: int, seed: int = 0, *, held_out: bool = False, size: int = 128) -> Iterator[Path]:
    """Write ``count`` clips to ``folder/clips`` and one line for each to ``folder/metadata.jsonl``; yields each file.

    A line has ``file_name`` and ``text`` (as ``datasets`` reads a video folder), further ``captions``, the ``scene`` with all
    attributes, its ``sound_class``, and ``events``: impacts, beats and phonemes in seconds, and the mouth's opening for each
    frame. With ``held_out`` the combinations that training never shows are drawn too. Equal seeds give equal files.
    """
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with (folder / RECORDS).open("w", encoding="utf-8") as records:
        for index in range(count):
            scene = draw(rng) if held_out else sample(rng)
            clip = make_clip(scene, size=size)
            path = folder / "clips" / f"{index:06}.mp4"
            _write(clip, path)
            captions = list(dict.fromkeys(caption(scene, rng) for _ in range(_WORDINGS)))
            record = {"file_name": f"clips/{path.name}", "text": clip.caption, "captions": captions, **_truth(clip)}
            records.write(json.dumps(record, ensure_ascii=False) + "\n")
            yield path


def _write(clip: WorldClip, path: Path) -> None:
    frames, height, width, _ = clip.frames.shape
    request = GenerationRequest(
        prompt=clip.caption, model="world", seed=clip.scene.seed, height=height, width=width, num_frames=frames, frame_rate=12.0
    )
    origin = Origin(request=request, model_sha256="", code_version="")
    write_clip(path, clip.frames, Sound(clip.waveform[None], 16_000), origin)


def _truth(clip: WorldClip) -> dict[str, Any]:
    scene = asdict(clip.scene) | {"held_out": is_held_out(clip.scene)}
    return {"scene": scene, "sound_class": sound_class(clip.scene), "events": event_record(clip.events, len(clip.frames))}


def event_record(found: Events, num_frames: int, frame_rate: float = 12.0) -> dict[str, Any]:
    """The event list as JSON: seconds, and 0..1 for each frame."""
    return {
        "impacts": [asdict(impact) for impact in found.impacts],
        "beats_s": list(found.beats_s),
        "phonemes": [asdict(phoneme) for phoneme in found.phonemes],
        "mouth_opening": [round(float(value), 3) for value in found.mouth_opening(np.arange(num_frames) / frame_rate)],
    }
