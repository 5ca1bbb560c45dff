"""Measures the memory of a run, stage by stage: the peak of the process on a CPU, of what is allocated on a GPU."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from pipelines.contract import Done, Event, Metric, Progress

_STATUS, _PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Gauge(Protocol):
    """Where the bytes are counted."""

    def begin(self) -> int:
        """Give back what is held for nothing and forget the peak so far; bytes in use now."""

    def peak(self) -> int:
        """The most bytes in use at once since ``begin``."""

    def free(self) -> int | None:
        """Bytes that the run could still take, where that can be told."""


class ProcessGauge:
    """Resident memory of this process, by the kernel's own high-water mark (Linux, proc(5))."""

    def __init__(self) -> None:
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._trim = trim if callable(trim) else None

    @staticmethod
    def is_possible() -> bool:
        """Whether the kernel tells, and lets the mark be reset."""
        return _STATUS.exists() and os.access(_PEAK, os.W_OK)

    def begin(self) -> int:
        """As ``Gauge``: glibc keeps freed memory for itself, which would be counted again in the next stage."""
        if self._trim is not None:
            self._trim(0)
        _PEAK.write_text("5")
        return _status("VmRSS")

    def peak(self) -> int:
        """As ``Gauge``."""
        return _status("VmHWM")

    def free(self) -> int | None:
        """As ``Gauge``."""
        return free_bytes()


class CudaGauge:
    """What torch has allocated on one GPU."""

    def __init__(self, device: Any) -> None:
        self._device = device

    def begin(self) -> int:
        """As ``Gauge``."""
        import torch

        torch.cuda.reset_peak_memory_stats(self._device)
        return int(torch.cuda.memory_allocated(self._device))

    def peak(self) -> int:
        """As ``Gauge``."""
        import torch

        return int(torch.cuda.max_memory_allocated(self._device))

    def free(self) -> int | None:
        """As ``Gauge``; what torch holds in reserve can be taken too."""
        import torch

        reserve = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return int(torch.cuda.mem_get_info(self._device)[0] + reserve)


def gauge_of(device: Any) -> Gauge | None:
    """The gauge of a torch device; ``None`` where nothing can be measured."""
    if device.type == "cuda":
        return CudaGauge(device)
    return ProcessGauge() if device.type == "cpu" and ProcessGauge.is_possible() else None


def weighed(events: Generator[Event, None, None], gauge: Gauge | None, device: str) -> Generator[Event, None, None]:
    """``events``, and before the last of them the memory as ``Metric``: ``memory.<device>.rest``, ``.settled``, ``.free`` and the
    peak of each stage that ran, in bytes.
    """
    if gauge is None:
        yield from events
        return
    found: dict[str, float] = {}
    stage = None
    with closing(events):
        for event in events:
            if isinstance(event, Progress) and event.stage != stage:
                if stage is not None:
                    found[stage] = max(found.get(stage, 0), gauge.peak())
                now, stage = gauge.begin(), event.stage
                if "rest" not in found:
                    found |= {"rest": now, "free": gauge.free() or 0}
            if isinstance(event, Done) and stage is not None:
                found[stage] = max(found.get(stage, 0), gauge.peak())
                found["settled"] = gauge.begin()
                for name, value in found.items():
                    yield Metric(f"memory.{device}.{name}", value)
            yield event


def free_bytes() -> int | None:
    """Main memory that processes here can still take, within the limits of the container; ``None`` where nobody tells."""
    known = [_meminfo("MemAvailable"), _cgroup_free()]
    return min((each for each in known if each is not None), default=None)


def resident_bytes(pid: int) -> int:
    """Main memory that a process holds; 0 where that is not told."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _status(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name + ":"))
    return 1024 * int(line.split()[1])


def _meminfo(name: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name + ":")), None)


def _cgroup_free() -> int | None:
    """What the control group (version 2) of this process has left; what it caches of files can be taken too."""
    try:
        group = Path("/sys/fs/cgroup") / Path("/proc/self/cgroup").read_text().split("::/")[1].splitlines()[0]
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        kinds = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        cached = int(kinds["file"])
    except (OSError, IndexError, ValueError, KeyError):
        return None
    return None if limit == "max" else max(0, int(limit) - used + cached)
