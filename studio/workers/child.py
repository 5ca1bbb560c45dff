"""The worker process: owns an engine, runs one request at a time, and ends when nobody listens to it any more.

Started as ``python -m studio.workers.child <file descriptor>``. The only place where the studio meets the engine.
"""

from __future__ import annotations

import importlib
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from pipelines.contract import AnyRequest, Clip, Done, Event, GenerationRequest, Metric, Preview, Progress, StudioError
from pipelines.optimize.conditioning_cache import ConditioningCache, Limits
from pipelines.optimize.latent_store import LatentStore, beside
from pipelines.optimize.memory import Evidence
from pipelines.optimize.parallel.devices import Devices
from pipelines.optimize.scratch import leave, sweep
from studio.media import thumbnail_of
from studio.services.media import write_whole
from studio.settings import Settings
from studio.workers.messages import Batch, Beat, Cancel, Cancelled, Failed, Finished, FromChild, Happened, Ready, Run, Setup, Up


class RunsRequests(Protocol):
    """What ``settings.engine`` names: ``pipelines.engine.Engine`` or a class like it."""

    def run(self, request: AnyRequest, path: Path, sources: Mapping[str, Path]) -> Generator[Event, None, None]:
        """Make the clip at ``path``, ending with ``Done``."""

    def ahead(
        self, requests: Mapping[str, GenerationRequest], sources: Mapping[str, Path], is_wanted: Callable[[str], bool]
    ) -> Generator[tuple[str, Progress | Preview | Metric], None, None]:
        """Begin several requests of one kind together; each is finished by ``run``."""

    def model(self, model_id: str) -> Any:
        """Load a model ahead of its first use."""

    def expect(self, requests: Sequence[GenerationRequest]) -> None:
        """Be told what will be asked for next."""

    def remember(self, model_id: str, evidence: Evidence) -> None:
        """Reckon with what earlier runs of a model took of the memory."""


class Worker:
    """One end of the pipe: a reading thread, a beating thread, and the runs themselves in the main thread."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()
        self._runs: queue.SimpleQueue[tuple[Run, ...]] = queue.SimpleQueue()
        self._cancelled: set[str] = set()
        self._waiting: set[str] = set()
        """Runs that are there and not begun; whoever takes one out of it has the say about it."""
        self._taking = threading.Lock()

    def serve(self) -> None:
        """Work until the other end of the pipe closes."""
        setup: Setup = self._pipe.recv()
        self._scratch = setup.settings.offload_dir
        sweep(self._scratch)
        threading.Thread(target=self._read, daemon=True, name="read").start()
        threading.Thread(target=self._beat, args=(setup.settings.heartbeat_s,), daemon=True, name="beat").start()
        engine = _engine(setup)
        self._say(Up())
        self._say(Ready(_preload(engine, setup.preload) if setup.preload else None))
        while True:
            runs = self._runs.get()
            engine.expect(runs[-1].coming)
            for run in runs:
                if run.evidence is not None:
                    engine.remember(run.request.model, run.evidence)
            if len(runs) > 1:
                self._begin_together(engine, runs)
            for run in runs:
                if self._take(run.ticket):
                    self._say(self._run(engine, run))

    def _read(self) -> None:
        """Take in what the studio says. Its end closing is the one way in which this process learns that it is alone."""
        while True:
            try:
                match self._pipe.recv():
                    case Run() as run:
                        self._queue((run,))
                    case Batch(runs):
                        self._queue(runs)
                    case Cancel(ticket) if self._take(ticket):
                        self._say(Cancelled(ticket))  # behind others: nobody shall wait for its turn
                    case Cancel(ticket):
                        self._cancelled.add(ticket)
            except (EOFError, OSError):
                leave(self._scratch, os.getpid())
                os._exit(0)  # the main thread may be deep inside a kernel; nothing here needs a farewell

    def _queue(self, runs: tuple[Run, ...]) -> None:
        self._waiting.update(run.ticket for run in runs)
        self._runs.put(runs)

    def _take(self, ticket: str) -> bool:
        """Whether a run was not begun yet; from now on it is."""
        with self._taking:
            was_waiting = ticket in self._waiting
            self._waiting.discard(ticket)
            return was_waiting

    def _beat(self, every_s: float) -> None:
        while True:
            time.sleep(every_s)
            self._say(Beat())

    def _say(self, message: FromChild) -> None:
        with self._sending:
            try:
                self._pipe.send(message)
            except OSError:
                os._exit(0)

    def _begin_together(self, engine: RunsRequests, runs: tuple[Run, ...]) -> None:
        """What the runs can share. A fault is nobody's in particular: it is logged, and each run meets its own."""
        requests = {run.ticket: run.request for run in runs if isinstance(run.request, GenerationRequest)}
        sources = {name: path for run in runs for name, path in run.sources.items()}
        try:
            with closing(engine.ahead(requests, sources, self._waiting.__contains__)) as events:
                for ticket, event in events:
                    self._say(Happened(ticket, event))
        except Exception:
            traceback.print_exc()

    def _run(self, engine: RunsRequests, run: Run) -> FromChild:
        """Everything that can become of a run. Cancelling is looked at once an event, so within one denoising step."""
        try:
            clip = self._events(engine, run)
        except StudioError as error:
            return Failed(run.ticket, error.message, error.field, type(error), is_bug=False)
        except Exception as error:
            traceback.print_exc()
            what = f"{type(error).__name__}: {error}"[:300]
            message = f"the studio made a mistake with this request ({what}): try other settings; the log has the details."
            return Failed(run.ticket, message, None, StudioError, is_bug=True)
        if clip is None:
            run.path.unlink(missing_ok=True)
            beside(run.path).unlink(missing_ok=True)
            return Cancelled(run.ticket)
        if run.thumbnail is not None:
            with suppress(StudioError):  # the library makes a missing one when somebody looks
                write_whole(run.thumbnail, thumbnail_of(run.path))
        return Finished(run.ticket, clip)

    def _events(self, engine: RunsRequests, run: Run) -> Clip | None:
        with closing(engine.run(run.request, run.path, run.sources)) as events:
            for event in events:
                if isinstance(event, Done):
                    return event.result
                if run.ticket in self._cancelled:
                    return None
                self._say(Happened(run.ticket, event))
        raise RuntimeError("the engine ended without a result")


def _engine(setup: Setup) -> RunsRequests:
    for name, part in (("TORCHINDUCTOR_CACHE_DIR", "torch"), ("TRITON_CACHE_DIR", "triton")):
        os.environ.setdefault(name, str(setup.settings.compiled_dir.absolute() / part))  # read when they are first needed
    module, name = setup.settings.engine.split(":")
    catalogue = setup.settings.catalogue
    engine: RunsRequests = getattr(importlib.import_module(module), name)(
        catalogue,
        media_dir=setup.media_dir,
        device=Devices(setup.device, setup.settings.parallel, setup.settings.offload_dir),
        conditionings=_conditionings(setup.settings),
        latents=LatentStore() if setup.settings.keep_latents else None,
        text_image_model=setup.settings.text_image_model,
    )
    return engine


def _conditionings(settings: Settings) -> ConditioningCache:
    limits = Limits(settings.conditioning_memory_bytes, settings.conditioning_disk_bytes, settings.conditioning_ttl_s)
    return ConditioningCache(limits, settings.conditionings_dir)


def _preload(engine: RunsRequests, model_id: str) -> str | None:
    """Load the model; a problem is told and kept for the runs, which meet it again."""
    try:
        engine.model(model_id)
    except StudioError as error:
        return error.message
    except Exception as error:
        traceback.print_exc()
        return f"the model {model_id} could not be loaded ({type(error).__name__}: {error})"[:400]
    return None


def main() -> None:
    """Ctrl-C and termination are the studio's business: it decides when this process may stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(OSError):
        # When memory runs out, the model goes and the studio stays.
        Path("/proc/self/oom_score_adj").write_text("500")
    Worker(Connection(int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
