"""A rank other than 0: loads the model on its device and evaluates what it is told to, until nobody talks to it any more.

Started by ``Group`` as ``python -m pipelines.optimize.parallel.rank <file descriptor>``.
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
from contextlib import ExitStack
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import FileStore

from pipelines.conditioning import encode_prompt
from pipelines.lora.stack import LoraStack
from pipelines.optimize.memory import is_shortage
from pipelines.optimize.parallel.branches import step
from pipelines.optimize.parallel.decoding import decode_turn
from pipelines.optimize.parallel.layout import Layout
from pipelines.optimize.parallel.link import Links, connect
from pipelines.optimize.parallel.messages import (
    Beat,
    Begin,
    Decode,
    Encoded,
    End,
    Failed,
    Join,
    Meet,
    Read,
    Ready,
    Sent,
    Step,
    Tally,
    Turn,
    hear,
    say,
)
from pipelines.optimize.parallel.probe import measured
from pipelines.optimize.parallel.tensor import SplitReader, split_feed_forwards
from pipelines.passes import Passes

BEAT_S = 1.0
WAIT_S = 50.0
"""How long ranks wait for each other in one exchange before they give up."""


def meet(folder: Path, rank: int, size: int, device: torch.device) -> None:
    """Connect to the others, who leave their addresses in ``folder``; all ranks call this at the same time."""
    backend = "gloo" if device.type == "cpu" else "nccl"
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all ranks are on this machine, and nobody else is to listen
    store = FileStore(str(folder / "addresses"), size)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timedelta(seconds=WAIT_S))


class Rank:
    """One end of the pipe: a reading thread, a beating thread, and the work itself in the main thread."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._saying = threading.Lock()
        self._told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._links: dict[Layout, Links | None] = {}

    def serve(self) -> None:
        """Work until the other end of the pipe closes."""
        self._join = join = hear(self._pipe, torch.device("cpu"))
        assert isinstance(join, Join)
        self._device = torch.device(join.device)
        threading.Thread(target=self._read, daemon=True, name="read").start()
        threading.Thread(target=self._beat, daemon=True, name="beat").start()
        try:
            self._read_texts() if join.reads else self._work()
        except BaseException as error:
            traceback.print_exc()
            self._say(Failed(f"{type(error).__name__}: {error}"[:300], is_shortage(error)))
            raise

    def _loaded(self, function: str) -> Any:
        """What this function of the loader's module loads."""
        join = self._join
        if join.threads:
            torch.set_num_threads(join.threads)
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)
        module = importlib.import_module(join.spec.loader.partition(":")[0])
        loaded = getattr(module, function)(join.spec, self._device, plan=join.plan)
        self._say(Ready())
        return loaded

    def _read_texts(self) -> None:
        reader = self._loaded("load_reader")
        while isinstance(told := self._told.get(), Read):
            self._say(Encoded(told.text, encode_prompt(reader, told.text)))

    def _work(self) -> None:
        join = self._join
        model = self._loaded(join.spec.loader.partition(":")[2])
        told = self._told.get()
        assert isinstance(told, Meet)
        meet(Path(told.folder), join.rank, join.size, self._device)
        whole = Layout(branches=join.size // join.tensor, tensor=join.tensor)
        links = self._links[whole] = connect(whole, join.rank)
        assert links is not None, "the whole group has a place for everyone"
        measured(links.world, self._device, model.dtype)
        split_feed_forwards(model.transformer, links.tensor)
        texts = SplitReader(model, links.tensor)
        while True:
            match self._told.get():
                case Begin() as clip:
                    if clip.layout not in self._links:
                        self._links[clip.layout] = connect(clip.layout, join.rank)
                    self._denoise(model, self._links[clip.layout], clip)
                case Decode(work):
                    while isinstance(told := self._told.get(), Turn):
                        decode_turn(links.world, model.vae, work, told.first)
                    assert isinstance(told, End)
                case Read(text) if links.place.branch == 0:  # the others hold the same parts again
                    texts.encode(text)
                case Tally():
                    self._say(Sent(sum(links.sent_bytes for links in self._links.values() if links)))

    def _denoise(self, model: Any, links: Links | None, clip: Begin) -> None:
        """One clip; without links it is made by others."""
        passes = Passes(model, clip.canvas, clip.steering)
        with ExitStack() as stack:
            loras = stack.enter_context(LoraStack(model.transformer, clip.loras).on())
            while isinstance(told := self._told.get(), Step):
                loras.at(told.progress)
                if links:
                    step(links, passes, told.shares, None, told.timestep)
            assert isinstance(told, End)

    def _read(self) -> None:
        """Take in what rank 0 says. Its end closing is the one way in which this process learns that it is alone."""
        while True:
            try:
                self._told.put(hear(self._pipe, self._device))
            except (EOFError, OSError):
                os._exit(0)

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_S)
            self._say(Beat())

    def _say(self, message: Any) -> None:
        with self._saying:
            try:
                say(self._pipe, message)
            except OSError:
                os._exit(0)


def main() -> None:
    """Ctrl-C and termination are for rank 0 to deal with: this process ends with its pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Rank(Connection(int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
