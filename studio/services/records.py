"""What the studio tells about jobs and clips: frozen values, and the JSON of the API."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipelines.contract import AnyRequest, Modality, Quantization
from pipelines.moments import Moments
from pipelines.optimize.plan import Offload


class Record(BaseModel):
    """Base of every record: frozen, strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ActionState(StrEnum):
    """Where something stands that goes on in the background: a model that is fetched, or read."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobState(StrEnum):
    """Where a job is, in words that a person understands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing happens to the job any more."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


class JobProgress(Record):
    """How far a running job is; ``fraction`` never falls within an attempt."""

    stage: str
    step: int
    total: int
    fraction: float
    """0 to 1 over the whole job."""
    remaining_s: float | None
    """Seconds that are probably left, where that can be told already."""
    preview_version: int
    """Rises with every new preview; 0 is none yet."""
    curves: dict[str, tuple[tuple[float, float], ...]] = {}
    """What was measured so far while denoising, by name: each point the share of the steps, 0 to 1, and the value."""


class Fault(Record):
    """Why a job failed, as one sentence, and the request's field that it is about."""

    message: str
    field: str | None


class StoredClip(Record):
    """A clip of the library with everything that it was made of."""

    id: str
    name: str
    request: AnyRequest
    height: int
    width: int
    num_frames: int
    frame_rate: float
    duration_s: float
    has_video: bool
    has_audio: bool
    sample_rate: int | None
    size_bytes: int
    model_sha256: str
    code_version: str
    stage_seconds: dict[str, float]
    measurements: dict[str, float]
    moments: Moments | None = None
    """What is seen and heard when; ``None`` for a clip without picture or sound, or measured before this was kept."""
    favourite: bool
    tags: tuple[str, ...]
    created_at: str
    """ISO 8601, UTC."""
    deleted_at: str | None
    job_id: str | None
    urls: dict[str, str]
    """Where the API serves ``file`` and ``thumbnail``."""


class Family(Record):
    """A clip among its takes."""

    ancestors: tuple[StoredClip, ...]
    """What it was edited from, the first of all first."""
    clip: StoredClip
    edits: tuple[StoredClip, ...]
    """What was edited from it, oldest first."""
    siblings: tuple[StoredClip, ...] = ()
    """What else was edited from the clip that it was edited from, oldest first."""


class Job(Record):
    """One request on its way to a clip."""

    id: str
    state: JobState
    attempts: int
    priority: int
    position: int | None
    """Place in the queue, 1 is next; ``None`` unless queued."""
    request: AnyRequest
    progress: JobProgress | None
    result: StoredClip | None
    error: Fault | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    cancel_requested: bool


class JobMetric(Record):
    """One measured number of a running job, such as the seconds of a stage."""

    name: str
    value: float


JobEventKind = Literal["state", "progress", "preview", "metric", "done", "failed", "cancelled"]


class JobEvent(Record):
    """Something that happened to a job; ``id`` rises within the job, also over a restart of the studio."""

    id: int
    kind: JobEventKind
    job: Job
    """The job after the event."""
    metric: JobMetric | None


class StageMemory(Record):
    """What one stage of a run holds at its peak."""

    stage: str
    peak_bytes: int


class LessMemory(Record):
    """Other settings that would fit."""

    settings: dict[str, int | str]
    """Fields of the request, by name."""
    words: str
    """The clip that comes of it, such as "1.0 s long"."""


class MemoryForecast(Record):
    """What a request will take of the memory, before it is made."""

    model: str
    device: str
    """cpu or cuda."""
    stages: tuple[StageMemory, ...]
    """In the order of a run; all bytes include the worker itself and the model's weights."""
    peak_bytes: int
    peak_stage: str
    rest_bytes: int
    """What the worker holds with the model loaded and nothing to do."""
    free_bytes: int | None
    """What the run may take in all; ``None`` where it cannot be told yet."""
    fits: bool | None
    quantization: Quantization | None
    """How the large weights will be held; ``None`` where that is chosen only when they are loaded."""
    offload: Offload | None
    """Which weights come only while they are used; ``None`` as above."""
    runs: int
    """Measured runs of this model that the forecast rests on; 0 is reckoned from the model's layout alone."""
    change: LessMemory | None
    """The cheapest change that fits, where the request does not."""
    ran_short: bool
    """Whether memory ran out before for such a clip or a smaller one, and it was finished in smaller steps."""
    sentence: str


class ClipPage(Record):
    """One page of the library."""

    clips: tuple[StoredClip, ...]
    next: str | None
    """Where the next page begins; ``None`` on the last page."""
    total: int
    """Clips that the filter lets through, over all pages."""


class ClipFilter(Record):
    """Which clips of a library to show, and in which order."""

    text: str = ""
    """Words in prompt, name or tags; the last one may be only begun."""
    favourite: bool | None = None
    tag: str | None = None
    model: str | None = None
    modality: Modality | None = None
    deleted: bool = False
    """Show the trash instead of the library."""
    order: Literal["newest", "oldest"] = "newest"
    best: str | None = None
    """A measurement, such as ``sync.confidence``: the best clips first, those without it left out."""


def now() -> str:
    """This moment, ISO 8601 in UTC with microseconds, so that text order is time order."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class WorkerHealth(Record):
    """One worker process."""

    device: str
    state: Literal["starting", "idle", "busy", "stopped"]


class Health(Record):
    """How the studio is."""

    live: bool
    """Its threads run; restart it when not."""
    ready: bool
    """It can make clips now."""
    problems: tuple[str, ...]
    queued: int
    running: int
    paused: bool
    workers: tuple[WorkerHealth, ...]
