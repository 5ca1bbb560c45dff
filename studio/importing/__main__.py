"""The child process: one order on standard input, one JSON object a line on standard output.

``{"ready": true}``, then ``{"judged": true}``, then ``{"done": {"request", "notices"}}``; or, instead of the last two,
``{"refused": {"message", "status"}}``. Exits 0 unless it breaks.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from av.error import FFmpegError

from studio.importing.order import MOST_FRAME_BYTES, Order, Refusal
from studio.importing.probe import probe

_CORES = 4  # decoders take memory for each; with more, the same file would fit here and not there
_LARGEST_FILE_BYTES = MOST_FRAME_BYTES  # no clip is larger than its frames are unpacked, nor is what a decoder complains of


def _fence(order: Order) -> None:
    """Bounds that hold whatever a decoder does, also when nobody is left to stop it."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (order.memory_bytes, order.memory_bytes))
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    seconds = round(_CORES * (order.probe_s + order.convert_s)) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE_BYTES, _LARGEST_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _say(**told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _carry_out(order: Order) -> dict[str, Any]:
    found = probe(Path(order.source), order.max_seconds)
    _say(judged=True)
    # What these need takes longer to load than most files take to be refused.
    from pipelines.contract import StorageFull
    from studio.importing.convert import convert

    try:
        made = convert(order, found)
    except StorageFull as full:
        raise Refusal(full.message, full.status) from None
    return {"request": made.request.model_dump(mode="json"), "notices": made.notices}


def main() -> None:
    """Carry out one order."""
    order = Order.from_json(sys.stdin.read())
    _fence(order)
    _say(ready=True)
    try:
        _say(done=_carry_out(order))
    except Refusal as refusal:
        _say(refused={"message": str(refusal), "status": refusal.status})
    except MemoryError:
        most = f"{order.memory_bytes / 1024**3:.3g} GB"
        _say(refused={"message": f"video takes more than {most} of memory to be opened: scale it down first.", "status": 422})
    except FFmpegError:
        _say(refused={"message": "video cannot be decoded: it is damaged; choose another file.", "status": 422})


if __name__ == "__main__":
    main()
