"""Quality cards of the clips of a library: measured anew in a process of its own, and how two clips compare."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.clip_io import read_media
from pipelines.contract import InvalidRequest, ModelNotFound
from pipelines.metrics.catalogue import JUDGES
from pipelines.models.local import judge_named
from pipelines.moments import Moments
from studio.services.library import LibraryService
from studio.services.records import StoredClip

_LONGEST_S = 600
_MONO_RATE = 16_000
ROOT = Path(__file__).parent.parent.parent


class QualityService:
    """What is measured on clips that exist; new ones are measured by the worker as they are made.

    ``judge`` is the measurement that the set CLIP or SigLIP model adds. Raises ``ModelNotFound`` where it is not here: a wrong
    name is told when the studio opens, for no clip is lost to it later.
    """

    def __init__(self, library: LibraryService, text_image_model: str = "") -> None:
        self._library = library
        self._text_image_model = text_image_model
        self._one_map = threading.Lock()  # two films and a third take memory
        self.judge = JUDGES[judge_named(text_image_model).kind] if text_image_model else None

    def measure(self, owner: str, clip_id: str) -> StoredClip:
        """Measure a clip again and keep what comes of it. Raises ``NotFound``, ``InvalidRequest`` or ``ModelNotFound``."""
        told = self._measured(self._library.file(owner, clip_id))
        # Which frames an edit made anew is not in the file, so what was found at their seams stays.
        before = self._library.get(owner, clip_id).measurements
        seams = {name: value for name, value in before.items() if name.startswith("seam.")}
        moments = None if told["moments"] is None else Moments.model_validate(told["moments"])
        return self._library.set_measurements(owner, clip_id, told["measurements"] | seams, moments)

    def _measured(self, path: Path) -> dict[str, Any]:
        """What the command says of a file. Raises ``InvalidRequest`` or ``ModelNotFound``."""
        command = ["pipelines.metrics.measuring", "measure", str(path.absolute()), "--json"]
        done = _run([*command, "--text-image-model", self._text_image_model])
        if done.returncode == 2:
            fault = json.loads(done.stdout)["error"]
            if fault["field"] == "text_image_model":
                raise ModelNotFound(fault["message"], field="text_image_model")
            raise InvalidRequest("clip cannot be measured: its file is damaged; make it again.", field="clip")
        if done.returncode:
            raise ChildProcessError(done.stderr[-2000:])
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def difference(self, owner: str, clip_ids: Sequence[str]) -> bytes:
        """An MP4 of what differs between two clips' pictures. Raises ``NotFound`` or ``InvalidRequest``."""
        files = [str(self._library.file(owner, clip_id).absolute()) for clip_id in clip_ids]
        with self._one_map, tempfile.TemporaryDirectory(prefix="studio-map-") as folder:
            made = Path(folder) / "map.mp4"
            done = _run(["pipelines.metrics.difference", *files, str(made)])
            if done.returncode == 2:
                fault = json.loads(done.stdout)
                raise InvalidRequest(fault["message"], field=fault["field"])
            if done.returncode:
                raise ChildProcessError(done.stderr[-2000:])
            return made.read_bytes()

    def onsets(self, owner: str, clip_id: str) -> list[float]:
        """When something distinctly begins to sound, in seconds; empty for a silent film. Raises ``NotFound``."""
        import soxr

        from pipelines.metrics.sync import onsets

        sound = read_media(self._library.file(owner, clip_id)).sound
        if sound is None:
            return []
        mono = np.asarray(soxr.resample(sound.samples.mean(0), sound.sample_rate, _MONO_RATE), np.float32)
        return [round(float(time_s), 3) for time_s in onsets(mono, _MONO_RATE)]


def _run(module: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A module with its arguments, in a process of its own. Raises ``InvalidRequest`` where it takes too long."""
    command = [sys.executable, "-m", *module]
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_LONGEST_S)
    except subprocess.TimeoutExpired:
        raise InvalidRequest("clip takes too long to be measured: choose a shorter one.", field="clip") from None
