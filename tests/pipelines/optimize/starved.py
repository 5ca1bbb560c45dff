"""A run of the embedded model in a process whose memory ends soon.

``python -m tests.pipelines.optimize.starved MIB KEPT_MIB FRAMES``: ``MIB`` is what it may take beyond itself, of which earlier
clips hold ``KEPT_MIB``; the clip has ``FRAMES``. Prints a JSON object: the stages in their order, and what went wrong.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np

from pipelines.contract import GenerationRequest, Metric, OutOfMemory, Progress
from pipelines.engine import Engine
from pipelines.registry import ModelCatalogue

MIB = 1024**2


def main() -> None:
    more, kept, frames = (int(word) for word in sys.argv[1:])
    catalogue = ModelCatalogue.with_folders({})
    folder = Path(tempfile.mkdtemp())
    engine = Engine(catalogue, media_dir=folder, device="cpu")
    small = GenerationRequest(prompt="a red ball", num_frames=5, height=64, width=64, num_inference_steps=2, seed=1)
    list(engine.run(catalogue.complete(small), folder / "warm.mp4"))  # libraries load and threads start before memory is short
    engine.cache.put("an earlier clip", np.ones(kept * MIB, np.uint8))
    used = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmSize"))
    resource.setrlimit(resource.RLIMIT_AS, (1024 * used + (more - kept) * MIB,) * 2)
    large = small.model_copy(update={"num_frames": frames, "height": 256, "width": 256})
    stages: list[str] = []
    told, fault = [], None
    try:
        for event in engine.run(catalogue.complete(large), folder / "clip.mp4"):
            if isinstance(event, Progress) and (not stages or stages[-1] != event.stage):
                stages.append(event.stage)
            if isinstance(event, Metric):
                told.append(event.name)
    except OutOfMemory as error:
        fault = error.message
    again = engine.foresight.thrift(catalogue.complete(large)).previews
    print(json.dumps({"stages": stages, "metrics": told, "fault": fault, "previews_next_time": again}))


if __name__ == "__main__":
    main()
