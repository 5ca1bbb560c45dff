"""A group of ranks for one clip at a time, seen from rank 0, which drives the loop: started, watched, given work, ended.

A rank that dies or goes silent ends the whole group: what rank 0 waits for then fails at once, or, where it cannot (a GPU's
exchange knows no such thing), the process itself ends, which whoever started it takes for what it is.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist

from pipelines.conditioning import TextConditioning
from pipelines.contract import DeviceLost, InvalidRequest, Quantization
from pipelines.guidance import Branch
from pipelines.lora.stack import LoraStack
from pipelines.optimize.blocks import Both
from pipelines.optimize.memory import is_shortage
from pipelines.optimize.parallel.branches import prefix_of, share_out, step
from pipelines.optimize.parallel.cost import Machine, Task, Weights, choose
from pipelines.optimize.parallel.decoding import decode_turn
from pipelines.optimize.parallel.layout import Layout
from pipelines.optimize.parallel.link import Links, connect
from pipelines.optimize.parallel.messages import (
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
from pipelines.optimize.parallel.rank import meet
from pipelines.optimize.parallel.tensor import SplitReader, split_feed_forwards, weights_of
from pipelines.optimize.parallel.traffic import Shape
from pipelines.optimize.plan import Plan
from pipelines.optimize.tiling import Decoding, Part
from pipelines.passes import Latents, Passes
from pipelines.registry import ModelSpec

_log = logging.getLogger(__name__)
SILENCE_S = 20.0
"""Without a sign of life for so long, a rank counts as dead."""
_START_S = 180.0
"""The same until its first one: several processes that load their libraries at once take their time."""
_GRACE_S = 10.0
_MOST_AHEAD = 16
"""Texts that are read before anybody needs them."""
_AS_IT_IS = Plan()
_LEAVE_S = 30.0
"""So long may rank 0 go on with what it computes itself before it meets that a rank is gone."""
_LOST = 70
"""Exit status of a rank 0 that cannot be brought back from an exchange (EX_SOFTWARE)."""


@dataclass(frozen=True)
class _Other:
    """Another rank, its process and the pipe to it."""

    rank: int
    device: str
    process: subprocess.Popen[bytes]
    pipe: Connection


class Group:
    """The ranks of one model; made before rank 0 loads it, so that all load at the same time."""

    def __init__(
        self, spec: ModelSpec, devices: Sequence[str], tensor: int = 1, reader: str | None = None, plan: Plan = _AS_IT_IS
    ) -> None:
        if tensor > 1 and plan.quantization is not Quantization.NONE:
            raise InvalidRequest(
                f"quantization is {plan.quantization.value}, but layers that are split keep their bits: use none, or set "
                "STUDIO_PARALLEL without tensor.",
                field="quantization",
            )
        self.size, self.tensor = len(devices), tensor
        self._whole = Layout(branches=self.size // tensor, tensor=tensor)
        self.is_closed = False
        self._place = TemporaryDirectory(prefix="ranks-")
        self._lost: str | None = None
        self._short = False
        self._gone, self._idle = threading.Event(), threading.Event()
        self._idle.set()
        self._inbox: queue.Queue[Any] = queue.Queue()
        self._encoded: queue.Queue[Any] = queue.Queue()
        self._asked: list[str] = []
        self._read: dict[str, TextConditioning] = {}
        self._links: dict[Layout, Links] = {}
        self._machine: Machine | None = None
        self._weights = Weights()
        self._texts: SplitReader | None = None
        on_cores = devices[0].startswith("cpu")
        threads = max(1, torch.get_num_threads() // self.size) if on_cores else 0

        def join(rank: int, device: str, parts: int, *, reads: bool) -> Join:
            return Join(rank, self.size, device, spec, plan, parts, reads, threads)

        self._ranks = [_start(join(rank, devices[rank], tensor, reads=False)) for rank in range(1, self.size)]
        self._reader = _start(join(self.size, reader, 1, reads=True)) if reader else None
        self._others = [*self._ranks, *([self._reader] if self._reader else [])]
        threading.Thread(target=self._listen, daemon=True, name="ranks").start()

    def meet(self, model: Any) -> None:
        """Wait until every rank has loaded the model as this one has, and connect. Raises ``DeviceLost``."""
        with self._together():
            for _ in self._others:
                self._answer(Ready)
            self._tell(Meet(self._place.name))
            meet(Path(self._place.name), 0, self.size, model.device)
            whole = self._connected(self._whole)
            self._machine = measured(whole.world, model.device, model.dtype)
            self._weights = weights_of(model.transformer)
            split_feed_forwards(model.transformer, whole.tensor)
            self._texts = SplitReader(model, whole.tensor) if self.tensor > 1 else None

    @contextmanager
    def passes(self, alone: Passes, stack: LoraStack, layout: Layout | None = None) -> Iterator[Passes]:
        """What ``alone`` does, shared out as ``layout`` says or as is fastest; as it is where nothing is faster.

        Its evaluations raise ``DeviceLost`` when a rank goes away. Raises ``InvalidRequest`` for what cannot be shared out.
        """
        layout = layout or self._chosen(alone)
        self._refuse(alone, stack, layout)
        if layout.size == 1:
            yield alone
            return
        with self._together():
            self._tell(Begin(layout, alone.canvas, alone.steering, stack.loras))
            links = self._connected(layout)
        try:
            yield _SharedPasses(alone.model, alone.canvas, alone.steering, self, links, stack)
        finally:
            self._end()

    def _chosen(self, alone: Passes) -> Layout:
        assert self._machine is not None, "the ranks have met"
        branches = frozenset({Branch.POSITIVE, *alone.steering.guidance.branches})
        choice = choose(Task(Shape.of(alone), branches, self._machine, self._weights), self.size, (self.tensor,))
        _log.info("shared out as %s", choice.why)
        return choice.layout

    def _refuse(self, alone: Passes, stack: LoraStack, layout: Layout) -> None:
        config = alone.model.transformer.config
        heads = config.num_attention_heads, config.audio_num_attention_heads
        if any(count % layout.ulysses for count in heads):
            numbers = " and ".join(str(count) for count in sorted(set(heads)))
            raise InvalidRequest(
                f"parallel has ulysses={layout.ulysses}, which does not divide this model's {numbers} heads: use ring.",
                field="parallel",
            )
        for name, tokens in (("picture", alone.video_coords.shape[2]), ("sound", alone.audio_coords.shape[2])):
            if tokens < layout.sequence:
                raise InvalidRequest(
                    f"parallel splits a clip into {layout.sequence} parts, but the {name} of this clip has {tokens} tokens: "
                    "make it longer or larger, or set STUDIO_PARALLEL to auto.",
                    field="parallel",
                )
        if stack.loras and self.tensor > 1:
            raise InvalidRequest("loras cannot lie on layers that are split: set STUDIO_PARALLEL without tensor.", field="loras")

    def evaluate(
        self, passes: _SharedPasses, now: Latents, timestep: torch.Tensor, wanted: frozenset[Branch]
    ) -> dict[Branch, Both]:
        """One step of all ranks."""
        shares = share_out(wanted, passes.links.layout.branches, prefix_of(passes))
        with self._together():
            self._tell(Step(shares, timestep, passes.stack.progress))
            return step(passes.links, passes, shares, now, timestep)

    def decode(self, vae: Any, work: Decoding) -> Iterator[Part]:
        """What one process decodes, a tile a rank at a time. Raises ``DeviceLost``."""
        everyone = self._connected(self._whole).world
        with self._together():
            self._tell(Decode(work))
        try:
            for first in range(0, len(work.plan.tiles), self.size):
                with self._together():
                    self._tell(Turn(first))
                    made = decode_turn(everyone, vae, work, first)
                yield from made
        finally:
            self._end()

    @property
    def reads(self) -> bool:
        """Whether a device is there for texts alone, or several hold the text encoder together."""
        return self._reader is not None or self._texts is not None

    def encode(self, text: str) -> TextConditioning:
        """What the device for texts makes of one, on the CPU, or all that hold parts of the encoder. Raises ``DeviceLost``."""
        with self._together():
            if self._reader is None:
                assert self._texts is not None, "somebody reads texts"
                self._tell(Read(text))
                return self._texts.encode(text)
            if text not in self._read:
                self._ask_for(text)
            while text not in self._read:
                self._take_in(self._answer(Encoded))
            return self._read.pop(text)

    def read_ahead(self, texts: Iterable[str]) -> None:
        """Let the device for texts read these while the others denoise; nothing without one. Their ``encode`` then finds them."""
        if self._reader is None or self._lost:
            return
        while not self._encoded.empty():
            self._take_in(self._encoded.get())
        for text in texts:
            if text not in self._read and len(self._asked) + len(self._read) < _MOST_AHEAD:
                with suppress(OSError):  # as in _end
                    self._ask_for(text)

    def _ask_for(self, text: str) -> None:
        assert self._reader is not None
        if text not in self._asked:
            say(self._reader.pipe, Read(text))
            self._asked.append(text)

    def _take_in(self, answer: Encoded) -> None:
        self._asked.remove(answer.text)
        self._read[answer.text] = answer.conditioning
        while len(self._read) > _MOST_AHEAD:  # what nobody came for, such as of a job that was cancelled
            del self._read[next(iter(self._read))]

    def sent_bytes(self) -> int:
        """What all ranks have sent each other over their links."""
        with self._together():
            self._tell(Tally())
            mine = sum(links.sent_bytes for links in self._links.values())
            return mine + sum(self._answer(Sent).total for _ in self._ranks)

    def pids(self) -> tuple[int, ...]:
        """Process ids of the other ranks."""
        return tuple(other.process.pid for other in self._others)

    def close(self) -> None:
        """End the other ranks and forget them."""
        if self.is_closed:
            return
        self.is_closed = True
        for other in self._others:
            other.process.kill()
            other.process.wait()
        if dist.is_initialized():
            dist.destroy_process_group()
        self._place.cleanup()

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Around what needs all ranks. Where it fails, the group is over, as the others may be anywhere in it."""
        self._idle.clear()
        try:
            if self._lost:
                raise RuntimeError(self._lost)
            yield
        except BaseException as error:
            # A rank that went away shows as some error of the exchange; which one it was is known a moment later.
            if isinstance(error, RuntimeError | OSError) and not is_shortage(error):
                self._gone.wait(_GRACE_S)
            self.close()
            if self._lost and self._short:
                raise MemoryError(self._lost) from error
            if self._lost:
                raise DeviceLost(self._lost) from error
            raise
        finally:
            self._idle.set()

    def _end(self) -> None:
        with suppress(OSError):  # a rank that is gone by now is met, and told of, at the next use
            self._tell(End())

    def _connected(self, layout: Layout) -> Links:
        if layout not in self._links:
            links = connect(layout, 0)
            assert links is not None, "every layout has a place for rank 0"
            self._links[layout] = links
        return self._links[layout]

    def _tell(self, message: Any) -> None:
        for other in self._ranks:
            say(other.pipe, message)

    def _answer(self, kind: type[Any]) -> Any:
        inbox = self._encoded if kind is Encoded else self._inbox
        while True:
            try:
                answer = inbox.get(timeout=0.5)
            except queue.Empty:
                if self._lost:
                    raise RuntimeError(self._lost) from None
                continue
            assert isinstance(answer, kind)
            return answer

    def _listen(self) -> None:
        """Hear the other ranks until one goes away."""
        pipes = {other.pipe: other for other in self._others}
        signs = {other.rank: time.monotonic() + _START_S - SILENCE_S for other in self._others}
        while not self.is_closed:
            for pipe in wait(list(pipes), timeout=0.5):
                assert isinstance(pipe, Connection)
                other = pipes[pipe]
                try:
                    message = hear(pipe, torch.device("cpu"))
                except (EOFError, OSError):
                    return self._lose(other, _farewell(other.process))
                signs[other.rank] = time.monotonic()
                match message:
                    case Failed(what, is_short):
                        self._short = is_short
                        return self._lose(other, f"failed ({what})")
                    case Ready() | Sent():
                        self._inbox.put(message)
                    case Encoded():
                        self._encoded.put(message)
            for other in self._others:
                if time.monotonic() - signs[other.rank] > SILENCE_S:
                    return self._lose(other, f"gave no sign of life for {SILENCE_S:g} seconds")
        return None

    def _lose(self, other: _Other, how: str) -> None:
        """Say what happened and end the others, which ends what rank 0 waits for; if it does not, end this process."""
        if self.is_closed:
            return
        name = "what reads texts" if other is self._reader else f"rank {other.rank} of {self.size}"
        self._lost = f"{name} on {other.device} {how}"
        _log.error("%s: the group ends, and the job goes back into the queue", self._lost)
        for each in self._others:
            each.process.kill()
        self._gone.set()
        if not self._idle.wait(_LEAVE_S):
            os._exit(_LOST)


@dataclass
class _SharedPasses(Passes):
    """Passes whose evaluations the whole group does."""

    group: Group
    links: Links
    stack: LoraStack

    def evaluate(self, now: Latents, timestep: torch.Tensor, wanted: frozenset[Branch]) -> dict[Branch, Both]:
        """As one process would, but for rounding."""
        return self.group.evaluate(self, now, timestep, wanted)


def _start(join: Join) -> _Other:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", "pipelines.optimize.parallel.rank", str(theirs.fileno())]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=environment)
    pipe = Connection(ours.detach())
    say(pipe, join)
    return _Other(join.rank, join.device, process, pipe)


def _farewell(process: subprocess.Popen[bytes]) -> str:
    """How a process ended, in a few words."""
    try:
        code = process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        return "broke off the connection"
    return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
