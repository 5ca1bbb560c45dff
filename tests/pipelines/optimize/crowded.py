"""A sound from a model whose weights fill the memory that its process may have; they have to leave for the sound to be made.

``python -m tests.pipelines.optimize.crowded FOLDER MIB``: ``MIB`` is what the run may take beyond the loaded model in ``FOLDER``.
Prints a JSON object: the stages in their order, what went wrong, and where the weights are in the end.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path

from pipelines.contract import GenerationRequest, OutOfMemory, Progress
from pipelines.engine import Engine
from pipelines.optimize.parallel.devices import Devices
from pipelines.registry import ModelCatalogue

MIB = 1024**2


def main() -> None:
    folder, more = Path(sys.argv[1]), int(sys.argv[2])
    catalogue = ModelCatalogue.with_folders({"wide": folder})
    home = Path(tempfile.mkdtemp())
    engine = Engine(catalogue, media_dir=home, device=Devices("cpu", files=home / "files"))
    fields = {"model": "wide", "modality": "audio", "guidance_scale": 1.0, "audio_guidance_scale": 1.0, "stg_scale": 0.0}
    small = GenerationRequest(
        prompt="a bee", num_frames=9, height=64, width=64, num_inference_steps=2, seed=1, audio_stg_scale=0.0,
        modality_scale=1.0, audio_modality_scale=1.0, quantization="none", **fields,
    )  # fmt: skip
    list(engine.run(catalogue.complete(small), home / "warm.mp4"))  # libraries load and threads start before memory is short
    used, held = status("VmSize"), status("VmRSS")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + more * MIB, hard))
    large = small.model_copy(update={"num_frames": 41, "height": 640, "width": 640})
    stages: list[str] = []
    fault = None
    try:
        for event in engine.run(catalogue.complete(large), home / "clip.mp4"):
            if isinstance(event, Progress) and (not stages or stages[-1] != event.stage):
                stages.append(event.stage)
                if event.stage == "make room":  # while files are read they lie in the address space, though not in memory
                    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    except OutOfMemory as error:
        fault = error.message
    freed = (held - status("VmRSS")) // MIB
    print(json.dumps({"stages": stages, "fault": fault, "offload": engine.plan("wide").offload.value, "freed_mib": freed}))


def status(name: str) -> int:
    """Bytes, as the kernel counts them for this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
