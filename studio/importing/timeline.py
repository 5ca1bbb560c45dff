"""When each picture of a file is shown, read from its packets without decoding one; and the steady rate nearest to that."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from av.error import FFmpegError

from studio.importing.order import Refusal, Room
from studio.importing.probe import check_length

_COMMON = tuple(map(Fraction, ("24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60")))
_ALIKE = 0.005
_MOST_PICTURES = 100_000


@dataclass(frozen=True)
class Timeline:
    """Moments at which pictures are shown, in seconds and in order, and how long the last one stays."""

    times: np.ndarray
    last_s: float
    counted_s: float | None = None
    """How far pictures are apart in a file that tells no times."""

    @property
    def start_s(self) -> float:
        """When the first picture is shown."""
        return float(self.times[0])

    @property
    def duration_s(self) -> float:
        """From the first picture to the end of the last."""
        return float(self.times[-1] - self.times[0]) + self.last_s


def timeline_of(container: Any, stream: Any, room: Room, max_seconds: float) -> Timeline:
    """The moments of a picture stream. Raises ``Refusal`` where there are none, or they lie too far apart."""
    moments: list[int | None] = []
    lasting: dict[int | None, int | None] = {}
    try:
        for packet in container.demux(stream):
            moment = packet.pts if packet.pts is not None else packet.dts
            if packet.size and not packet.is_discard:
                moments.append(moment)
                lasting[moment] = packet.duration
            if len(moments) > _MOST_PICTURES:
                raise Refusal(f"video has over {_MOST_PICTURES:,} pictures: cut a piece out first.")
    except MemoryError:
        raise
    except FFmpegError:  # cut short: what comes before counts
        pass
    if not moments:
        raise Refusal("video has a picture without frames: it is damaged or cut short; choose another file.")
    declared = stream.average_rate or stream.guessed_rate
    usual_s = 1 / float(declared) if declared and 0.1 <= declared <= 1000 else 1 / room.frame_rate
    told = [moment for moment in moments if moment is not None]
    if len(set(told)) <= len(moments) // 2:
        line = Timeline(np.arange(len(moments)) * usual_s, usual_s, usual_s)
    else:
        times = np.sort(np.asarray(told, float)) * float(stream.time_base)
        stays_s = float(lasting.get(max(told)) or 0) * float(stream.time_base)
        line = Timeline(times, stays_s or (float(np.median(np.diff(times))) if len(times) > 1 else usual_s))
    check_length(line.duration_s, max_seconds)
    return line


def steady_rate(line: Timeline, declared: Fraction | None, room: Room) -> tuple[Fraction, bool]:
    """Frames a second that show every picture once, as far as the model goes; and whether the pictures came unevenly.

    Uneven pictures are shown at the distance that is usual among them: a screen recording that stood still for a while keeps its
    quick moments.
    """
    gaps = np.diff(line.times)
    gaps = gaps[gaps > 0]
    if not gaps.size:
        rate, is_uneven = 1 / line.last_s, False
    else:
        rate = float(gaps.size / gaps.sum())
        is_uneven = bool(np.abs((line.times - line.times[0]) * rate - np.arange(len(line.times))).max() >= 0.5)
        rate = float(1 / np.median(gaps)) if is_uneven else rate
    low, high = room.frame_rates
    return min(max(_named(rate, declared), Fraction(low)), Fraction(high)).limit_denominator(1001), is_uneven


def _named(rate: float, declared: Fraction | None) -> Fraction:
    """The rate that the file declares or that is in use, where that is what was measured; time stamps are rounded."""
    nearest = min(_COMMON, key=lambda one: abs(float(one) / rate - 1))
    for one in (declared, nearest):
        if one and abs(float(one) / rate - 1) <= _ALIKE:
            return Fraction(one)
    return Fraction(round(rate, 3)).limit_denominator(1001)
