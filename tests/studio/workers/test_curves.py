"""The curves of a running job: kept with its progress, told to whoever comes later, begun anew with another attempt."""

from __future__ import annotations

from pipelines.contract import Metric, Preview, Progress
from studio.studio import Studio
from studio.workers.progress import ProgressMeter
from tests.studio.rooms import OWNER, fast_settings


def test_points_are_shares_of_the_steps_and_never_too_many():
    meter = ProgressMeter()
    for step in range(1, 101):
        latest = meter.step(Progress("denoise", step, 100))
        latest = meter.measure(latest, "live.sharpness", step / 2)
    assert latest.curves["live.sharpness"][-1] == (1.0, 50.0) and len(latest.curves["live.sharpness"]) == 64
    assert meter.step(Progress("decode picture", 0, 1)).curves == latest.curves
    assert meter.measure(latest, "seconds.denoise", 3.0) is latest


def test_who_looks_later_sees_the_whole_curve(tmp_path, small):
    studio = Studio.open(fast_settings(tmp_path, workers=0, lease_s=0.05))
    try:
        job = studio.jobs.submit(OWNER, small())
        lease = studio._desk.claim()
        for step, value in ((2, 0.5), (4, 0.75)):
            studio._desk.note(lease, Progress("denoise", step, 8))
            studio._desk.note(lease, Preview(b"picture", "image/webp"))
            studio._desk.note(lease, Metric("live.match", value))
        expected = {"live.match": ((0.25, 0.5), (0.5, 0.75))}
        assert studio.jobs.get(OWNER, job.id).progress.curves == expected
        assert studio.jobs.events_after(OWNER, job.id, 0)[-1].job.progress.curves == expected
        told = [event for event in studio.jobs.events_after(OWNER, job.id, 1) if event.kind == "metric"]
        assert [(event.metric.name, event.metric.value) for event in told] == [("live.match", 0.5), ("live.match", 0.75)]
        studio._desk.crashed(lease, "it went down")
        again = studio._desk.claim()
        assert again.job_id == job.id and studio.jobs.get(OWNER, job.id).progress.curves == {}
    finally:
        studio.stop()
