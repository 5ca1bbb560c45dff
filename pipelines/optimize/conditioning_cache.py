"""Texts as the transformer gets them, kept in memory and on disk: a prompt that was met before needs no text encoder.

``NodeCache`` keeps values for one process and one graph; this one outlives both, and a text is found again wherever it stands:
as a prompt, as a negative prompt, as a part of a time-stamped one. What is kept is named by a hash of everything that the
numbers depend on; the texts themselves are not stored. Torch-free until something is kept.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.optimize.ageing import Ageing
from pipelines.optimize.sealed import Damaged, read_sealed, write_sealed

if TYPE_CHECKING:
    import torch

    Tensors = Mapping[str, torch.Tensor]

_log = logging.getLogger(__name__)
_FORMAT = "1"
_SUFFIX = ".safetensors"
_ABANDONED_S = 3600.0


@dataclass(frozen=True)
class Key:
    """What the numbers depend on. LoRAs are not in it: stacks change the transformer, never the text's own layers.

    ``model`` is the hash of the parts that read texts; ``software`` the versions of the libraries that run them.
    """

    text: str
    model: str
    dtype: str
    device: str
    software: str

    @property
    def digest(self) -> str:
        """One name for all of it."""
        return hashlib.sha256(json.dumps([_FORMAT, asdict(self)], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Limits:
    """How much is kept and for how long: what nobody used for ``ttl_s`` goes. 0 bytes keep nothing there."""

    memory_bytes: int = 64 * 1024**2
    disk_bytes: int = 1024**3
    ttl_s: float = 30 * 86_400.0


@dataclass
class Tally:
    """How often what was asked for was there."""

    memory_hits: int = 0
    disk_hits: int = 0
    misses: int = 0
    damaged: int = 0

    @property
    def hits(self) -> int:
        """In memory or on disk."""
        return self.memory_hits + self.disk_hits


class ConditioningCache:
    """Tensors by ``Key``: at hand in memory, and in one file each below ``folder`` where there is one.

    Processes may share the folder. Whatever the disk does costs a recomputation and a line in the log, never a clip.
    """

    def __init__(self, limits: Limits | None = None, folder: Path | None = None, now: Callable[[], float] = time.time) -> None:
        self._limits = limits or Limits()
        self._folder = folder if self._limits.disk_bytes > 0 else None
        self._now = now
        self._values: dict[str, tuple[Tensors, float]] = {}
        self._memory = Ageing(self._limits.memory_bytes)
        self._disk = Ageing(self._limits.disk_bytes)
        self.tally = Tally()
        self._tidy()

    @property
    def memory_bytes(self) -> int:
        """What is held in memory."""
        return self._memory.size_bytes

    @property
    def disk_bytes(self) -> int:
        """What lies on disk, as far as this process knows."""
        return self._disk.size_bytes

    def __contains__(self, key: Key) -> bool:
        """Whether ``fetch`` would probably find it; files are not opened."""
        name = key.digest
        return name in self._values or (self._folder is not None and self._path(name).exists())

    def fetch(self, key: Key, make: Callable[[], Tensors]) -> Tensors:
        """The tensors of ``key``, made by ``make`` where they are not kept; what is kept lies in the CPU's memory."""
        name = key.digest
        if (kept := self._recall(name)) is not None:
            self.tally.memory_hits += 1
            self._touch(name)
            return kept
        if (read := self._read(name)) is not None:
            self.tally.disk_hits += 1
            self._remember(name, read)
            return read
        self.tally.misses += 1
        made = make()
        kept = {part: tensor.detach().cpu() for part, tensor in made.items()}
        self._remember(name, kept)
        self._write(name, kept)
        return made

    def shed(self) -> None:
        """Give the memory back; what lies on disk stays."""
        self._values.clear()
        self._memory = Ageing(self._limits.memory_bytes)

    def _recall(self, name: str) -> Tensors | None:
        tensors, used_at = self._values.get(name, (None, 0.0))
        if tensors is None or self._now() - used_at > self._limits.ttl_s:
            return None
        self._remember(name, tensors)
        return tensors

    def _remember(self, name: str, tensors: Tensors) -> None:
        self._values[name] = (tensors, self._now())
        self._memory.use(name, sum(tensor.nbytes for tensor in tensors.values()))
        for leaving in self._memory.overflow():
            del self._values[leaving]

    def _read(self, name: str) -> Tensors | None:
        if self._folder is None:
            return None
        path = self._path(name)
        try:
            if self._now() - path.stat().st_mtime > self._limits.ttl_s:
                self._drop(name)
                return None
            tensors, says = read_sealed(path)
            if says.get("name") != name:
                raise Damaged("it holds something else")
        except FileNotFoundError:
            self._disk.forget(name)
            return None
        except (Damaged, OSError) as error:
            _log.warning("%s is damaged (%s): dropped, and made again", path, error)
            self.tally.damaged += 1
            self._drop(name)
            return None
        self._touch(name)
        return tensors

    def _touch(self, name: str) -> None:
        """The file of ``name`` was used now: its time says so to other processes and to the next start."""
        if self._folder is None:
            return
        path = self._path(name)
        try:
            _set_time(path, self._now())
            self._disk.use(name, path.stat().st_size)
        except OSError:  # another process made room, or the disk is read-only: no reason to stop
            self._disk.forget(name)

    def _write(self, name: str, tensors: Tensors) -> None:
        if self._folder is None:
            return
        path = self._path(name)
        try:
            size = write_sealed(path, tensors, {"name": name})
            _set_time(path, self._now())
        except OSError as error:
            _log.warning("%s could not be kept (%s): the text is encoded again next time", path, error)
            return
        self._look()
        if name not in self._disk:
            self._disk.use(name, size)
        for leaving in self._disk.overflow():
            self._drop(leaving)

    def _tidy(self) -> None:
        """At the start: what broke off long ago goes, and what lies there is known from its oldest use to its latest."""
        if self._folder is None:
            return
        with suppress(OSError):
            for part in self._folder.glob(".*.part"):
                if self._now() - part.stat().st_mtime > _ABANDONED_S:
                    part.unlink(missing_ok=True)
        self._look()
        for leaving in self._disk.overflow():
            self._drop(leaving)

    def _look(self) -> None:
        """Take in what other processes wrote and dropped, and let go of what nobody used for too long."""
        found = sorted(self._files(), key=lambda each: each[2])
        for name in set(self._disk) - {name for name, _, _ in found}:
            self._disk.forget(name)
        for name, size, used_at in found:
            if self._now() - used_at > self._limits.ttl_s:
                self._drop(name)
            elif name not in self._disk:
                self._disk.use(name, size)

    def _files(self) -> Iterator[tuple[str, int, float]]:
        """Name, size and time of the latest use of each file there is."""
        assert self._folder is not None
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with suppress(OSError):  # gone in between
                status = path.stat()
                yield path.name.removesuffix(_SUFFIX), status.st_size, status.st_mtime

    def _drop(self, name: str) -> None:
        self._disk.forget(name)
        with suppress(OSError):
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{name}{_SUFFIX}"


def _set_time(path: Path, moment: float) -> None:
    os.utime(path, (moment, moment))
