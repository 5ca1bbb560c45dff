"""A call of a diffusers pipeline as a generator of its steps, which closing stops.

The call runs in a thread of its own: it hands control back only through the progress bar that every pipeline of diffusers opens
around its steps (``DiffusionPipeline.progress_bar``), where some have no callback.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event
from typing import Any


@dataclass(frozen=True)
class Step:
    """``index`` of ``total`` denoising steps are done."""

    index: int
    total: int


class _Stopped(BaseException):
    """Unwinds the pipeline's frames once nobody waits for its result; no library takes it for a fault."""


class _Call:
    """What a call tells, and whether it shall end; ``passes`` are the bars that it opens one after another, of equal lengths."""

    def __init__(self, passes: int) -> None:
        self.passes = passes
        self.done = 0
        """Steps of the bars before."""
        self.told: SimpleQueue[Step | None] = SimpleQueue()
        """``None`` is the end."""
        self.is_stopped = Event()

    def check(self, *_: object) -> None:
        """Raises ``_Stopped`` where the call shall end; also a hook of modules, whose arguments it leaves alone."""
        if self.is_stopped.is_set():
            raise _Stopped

    def run(self, pipeline: Any, arguments: Mapping[str, Any]) -> Any:
        """The pipeline's output."""
        try:
            with _watched(pipeline, self):
                return pipeline(**arguments)
        finally:
            pipeline.maybe_free_model_hooks()  # a call that was stopped leaves parts on the GPU


class _Bar:
    """What a pipeline is given for its progress bar: it tells of each step, and stops the call where that is wanted."""

    def __init__(self, call: _Call, total: int) -> None:
        self._call, self._length, self._done = call, total, 0

    def __enter__(self) -> _Bar:
        self.update(0)
        return self

    def __exit__(self, *failure: object) -> None:
        self._call.done += self._done

    def update(self, steps: int = 1) -> None:
        """So many more steps are done."""
        self._call.check()
        self._done += steps
        self._call.told.put(Step(self._call.done + self._done, self._call.passes * self._length))


@contextmanager
def _watched(pipeline: Any, call: _Call) -> Iterator[None]:
    """``pipeline`` with the bar in place; a large picture is decoded in many calls, so its decoder too can be stopped."""
    decoder = getattr(getattr(pipeline, "vae", None), "decoder", None)
    hook = None if decoder is None else decoder.register_forward_pre_hook(call.check)
    pipeline.progress_bar = lambda iterable=None, total=None: _Bar(call, total)
    try:
        yield
    finally:
        del pipeline.progress_bar
        if hook is not None:
            hook.remove()


def called(pipeline: Any, arguments: Mapping[str, Any], passes: int = 1) -> Generator[Step, None, Any]:
    """``pipeline(**arguments)``: yields each step and returns the pipeline's output; its exceptions are raised here.

    A pipeline that makes a clip in pieces goes through its steps in so many ``passes``.

    Closing stops the call before its next step, and waits for that.
    """
    call = _Call(passes)
    with ThreadPoolExecutor(1, "pipeline") as thread:
        output = thread.submit(call.run, pipeline, arguments)
        output.add_done_callback(lambda _: call.told.put(None))
        try:
            while (step := call.told.get()) is not None:
                yield step
            return output.result()
        finally:
            call.is_stopped.set()
