"""Real clips put into a studio's library as a finished run leaves them: an MP4 that decodes, and its row."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import numpy as np

from pipelines.clip_io import Origin, Sound, write_clip
from pipelines.contract import Clip, EditRequest, GenerationRequest, Modality
from studio.services.records import now
from studio.storage import clips
from studio.studio import Studio
from tests.studio.rooms import OWNER

GREY, TONE_HZ, SAMPLE_RATE = 128, 440.0, 16_000


def write_take(path: Path, request: GenerationRequest | EditRequest, grey: int = GREY, pitch_hz: float = TONE_HZ) -> Clip:
    """A clip of one grey with a brighter bar that moves a pixel a frame, and a tone."""
    assert request.height and request.width and request.num_frames and request.frame_rate
    frames = np.full((request.num_frames, request.height, request.width, 3), grey, np.uint8)
    for index in range(request.num_frames):
        frames[index, :, index % request.width] = min(255, grey + 60)
    duration_s = request.num_frames / request.frame_rate
    moments = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    sound = Sound(0.3 * np.sin(2 * np.pi * pitch_hz * moments)[None].astype(np.float32), SAMPLE_RATE)
    has_video, has_audio = request.modality != Modality.AUDIO, request.modality != Modality.VIDEO
    write_clip(path, frames if has_video else None, sound if has_audio else None, Origin(request, "0" * 64, "test"))
    return Clip(
        path=path, request=request, model_sha256="0" * 64, code_version="test", height=request.height, width=request.width,
        num_frames=request.num_frames, frame_rate=request.frame_rate, duration_s=duration_s, has_video=has_video,
        has_audio=has_audio, sample_rate=SAMPLE_RATE, size_bytes=path.stat().st_size, stage_seconds={"denoise": 0.1},
        measurements={"loudness_dbfs": -13.0},
    )  # fmt: skip


def put_take(studio: Studio, prompt: str = "a red ball", *, owner: str = OWNER, source: str | None = None, **look: object) -> str:
    """A clip of 12 frames at 12 a second, 64x64, unless other settings are given; ``grey`` and ``pitch_hz`` as above. Its id."""
    drawn = {name: look.pop(name) for name in ("grey", "pitch_hz") if name in look}
    shape = {"height": 64, "width": 64, "num_frames": 12, "frame_rate": 12.0, "seed": 1, "num_inference_steps": 4}
    request = GenerationRequest(prompt=prompt, **(shape | look))
    if source is not None:
        edit = {"kind": "retake", "start_s": 0.2, "end_s": 0.5}
        request = EditRequest(
            **request.model_dump(exclude={"kind", "first_frame", "last_frame", "references"}), source=f"clip:{source}", edit=edit
        )
    clip_id = uuid.uuid4().hex
    path = studio.settings.clips_dir / "takes" / f"{clip_id}.mp4"
    clip = write_take(path, request, **drawn)
    row = clips.ClipRow(
        id=clip_id, owner=owner, job_id=None, path=str(path.relative_to(studio.settings.data_dir)),
        thumbnail=f"thumbnails/takes/{clip_id}.webp", name=prompt[:60], prompt=prompt, tags=json.dumps(["test"]), favourite=0,
        model=request.model, modality=request.modality, size_bytes=clip.size_bytes, clip=clip.model_dump_json(exclude={"path"}),
        created_at=now(), deleted_at=None, source=source,
    )  # fmt: skip
    with studio._database.write() as connection:
        clips.insert(connection, row)
    return clip_id
