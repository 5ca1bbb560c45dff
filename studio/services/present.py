"""From database rows to records."""

from __future__ import annotations

import json

from pipelines.contract import stored_request
from studio.services.records import Fault, Job, JobProgress, JobState, StoredClip
from studio.storage.clips import ClipRow
from studio.storage.jobs import JobRow


def clip_record(row: ClipRow) -> StoredClip:
    """The clip as people see it."""
    made = json.loads(row.clip)
    made.pop("kind")
    return StoredClip(
        **made,
        id=row.id,
        name=row.name,
        favourite=bool(row.favourite),
        tags=tuple(json.loads(row.tags)),
        created_at=row.created_at,
        deleted_at=row.deleted_at,
        job_id=row.job_id,
        urls={"file": f"/api/v1/clips/{row.id}/file", "thumbnail": f"/api/v1/clips/{row.id}/thumbnail"},
    )


def job_record(row: JobRow, progress: JobProgress | None = None, result: StoredClip | None = None) -> Job:
    """The job as people see it; ``progress`` shows only while it runs."""
    state = JobState(row.state)
    return Job(
        id=row.id,
        state=state,
        attempts=row.attempts,
        priority=row.priority,
        position=row.position if state is JobState.QUEUED else None,
        request=stored_request(row.request),
        progress=progress if state is JobState.RUNNING else None,
        result=result,
        error=Fault(message=row.error_message, field=row.error_field) if row.error_message is not None else None,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested=bool(row.cancel_requested),
    )
