"""Settings for quick studios, and waiting for what happens in them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from studio.services.records import Job
from studio.settings import Settings
from studio.studio import Studio

FAST_ENGINE = "tests.studio.fast_engine:FastEngine"
OWNER = "local"


def fast_settings(data_dir: Path, **changes: object) -> Settings:
    """Short leases and the fast engine."""
    return Settings(
        **({"data_dir": data_dir, "engine": FAST_ENGINE, "lease_s": 2.0, "heartbeat_s": 0.2, "drain_s": 5.0} | changes)
    )


def wait_for(truth: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Return as soon as ``truth()`` holds; fail after ``timeout_s``."""
    give_up = time.monotonic() + timeout_s
    while not truth():
        assert time.monotonic() < give_up, "waited too long"
        time.sleep(0.02)


def finished(studio: Studio, job: Job, timeout_s: float = 30.0) -> Job:
    """The job once it is over."""
    wait_for(lambda: studio.jobs.get(OWNER, job.id).state.is_final, timeout_s)
    return studio.jobs.get(OWNER, job.id)
