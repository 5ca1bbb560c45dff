"""Clips put into a library's database directly: what hundreds of runs would have left there."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.contract import Clip, GenerationRequest
from pipelines.registry import ModelCatalogue
from studio.storage import clips
from studio.storage.database import Database

OWNER = "local"


def clip_row(prompt: str, request: GenerationRequest, created_at: str, *, owner: str = OWNER) -> clips.ClipRow:
    """A row of ``clips`` as a finished run writes it."""
    clip_id = uuid.uuid4().hex
    full = request.model_copy(update={"prompt": prompt})
    clip = Clip(
        path="unused.mp4", request=full, model_sha256="0" * 64, code_version="test", height=full.height, width=full.width,
        num_frames=full.num_frames, frame_rate=full.frame_rate, duration_s=full.duration_s, has_video=True, has_audio=True,
        sample_rate=16000, size_bytes=1000, stage_seconds={"denoise": 1.0}, measurements={"loudness_dbfs": -13.0},
    )  # fmt: skip
    return clips.ClipRow(
        id=clip_id, owner=owner, job_id=None, path=f"clips/shelf/{clip_id}.mp4", thumbnail=f"thumbnails/shelf/{clip_id}.webp",
        name=prompt[:60], prompt=prompt, tags="[]", favourite=0, model=full.model, modality=full.modality, size_bytes=1000,
        clip=clip.model_dump_json(exclude={"path"}), created_at=created_at, deleted_at=None,
    )  # fmt: skip


def fill_shelf(
    database: Database, data_dir: Path, prompts: Iterable[str], *, same_moment: bool = False, owner: str = OWNER
) -> list[str]:
    """One clip a prompt, with a file each, a second apart and the last one now; returns their ids."""
    request = ModelCatalogue.with_folders({}).complete(GenerationRequest(prompt="x", seed=1))
    moment, prompts = datetime.now(UTC), list(prompts)
    rows = []
    for age_s in reversed(range(len(prompts))):
        created = moment - timedelta(seconds=0 if same_moment else age_s)
        rows.append(clip_row(prompts[len(rows)], request, created.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), owner=owner))
    with database.write() as connection:
        for row in rows:
            clips.insert(connection, row)
    for row in rows:
        path = data_dir / row.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"clip")
    return [row.id for row in rows]
