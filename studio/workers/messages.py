"""What a worker process and the studio say to each other over their pipe; plain values that pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.contract import AnyRequest, Clip, GenerationRequest, Metric, Preview, Progress, StudioError
from pipelines.optimize.memory import Evidence
from studio.settings import Settings


@dataclass(frozen=True)
class Setup:
    """To the child, first of all: what to be."""

    settings: Settings
    device: str
    preload: str | None
    """The model to load before the first job."""
    media_dir: Path


@dataclass(frozen=True)
class Run:
    """To the child: make this clip; ``ticket`` comes back with everything that is said about it."""

    ticket: str
    request: AnyRequest
    path: Path
    thumbnail: Path | None
    sources: Mapping[str, Path] = field(default_factory=dict)
    """The files behind the ``clip:`` references of the request."""
    evidence: Evidence | None = None
    """What its model's runs took of the memory here before."""
    coming: tuple[GenerationRequest, ...] = ()
    """What is next in the queue."""


@dataclass(frozen=True)
class Batch:
    """To the child: make these clips, all of one kind (``batching.kind_of``), their latents together as far as that goes."""

    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Cancel:
    """To the child: leave this run at the next event."""

    ticket: str


@dataclass(frozen=True)
class Up:
    """From the child: the engine stands, jobs may come."""


@dataclass(frozen=True)
class Ready:
    """From the child: the model is loaded, or why it is not."""

    problem: str | None


@dataclass(frozen=True)
class Beat:
    """From the child: still alive."""


@dataclass(frozen=True)
class Happened:
    """From the child: an event of a run."""

    ticket: str
    event: Progress | Preview | Metric


@dataclass(frozen=True)
class Finished:
    """From the child: the clip is on disk."""

    ticket: str
    clip: Clip


@dataclass(frozen=True)
class Failed:
    """From the child: the run cannot be done; after a bug (``is_bug``) the process is not to be trusted any more."""

    ticket: str
    message: str
    field: str | None
    kind: type[StudioError]
    is_bug: bool

    def error(self) -> StudioError:
        """What the engine raised, as far as a person is concerned."""
        return self.kind(self.message, field=self.field)


@dataclass(frozen=True)
class Cancelled:
    """From the child: the run was left as asked, nothing remains of it."""

    ticket: str


ToChild = Setup | Run | Batch | Cancel
FromChild = Up | Ready | Beat | Happened | Finished | Failed | Cancelled
