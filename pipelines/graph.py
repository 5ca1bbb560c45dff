"""Nodes, wires and their execution: every mode of the studio is a small graph of these.

A graph is a ``dict`` from id to node. A node's fields are settings or wires; a wire names the node that it reads.
A value is cached under the signature of its node's settings and ancestry, so only what changed runs again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from pipelines.contract import Event, Metric
from pipelines.optimize.conditioning_cache import ConditioningCache
from pipelines.optimize.latent_store import LatentStore
from pipelines.optimize.memory import Thrift
from pipelines.registry import ModelSpec


class Wire(BaseModel):
    """A reference to the value of another node of the same graph."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    node: str


class Context(Protocol):
    """What a running node can reach; ``thrift`` says how sparingly it uses memory, ``conditionings`` keeps encoded texts.

    ``latents`` keeps those of finished clips, ``None`` where they are not to be kept.
    """

    thrift: Thrift
    conditionings: ConditioningCache
    latents: LatentStore | None

    @property
    def ranks(self) -> int:
        """Processes, each on a device of its own, that make a clip together."""

    def model(self, model_id: str) -> Any:
        """The loaded model; loads it first when it is not."""

    def spec(self, model_id: str) -> ModelSpec:
        """What is known about a model, whether it is loaded or not."""

    def passes(self, model: Any, canvas: Any, steering: Any, stack: Any) -> AbstractContextManager[Any]:
        """The transformer calls of one clip (``passes.Passes``), on all devices that are there for it; LoRAs lie in ``stack``."""

    def encoded(self, model: Any, text: str) -> Any:
        """The ``TextConditioning`` of a text, by whichever device reads them."""

    def decoded(self, model: Any, work: Any) -> Iterator[Any]:
        """The parts (``tiling.Part``) of a picture that is decoded in tiles (``tiling.Decoding``), by all ranks."""

    def judge(self) -> Any:
        """The model that says whether a picture shows what was asked (``metrics.agreement``); ``None`` where there is none."""

    def media_path(self, reference: str) -> Path:
        """The file behind a ``sha256:...`` reference."""

    def source_path(self, reference: str) -> Path:
        """The file behind a ``clip:`` or ``lora:`` reference. Raises ``InvalidRequest`` when it is gone."""


class Node(BaseModel):
    """One step of work: settings and wires as fields, heavy imports inside ``run``."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)

    cached: ClassVar[bool] = True
    """Whether the value may be re-used; false for nodes that write files, or whose values are kept elsewhere."""

    def wires(self) -> dict[str, Wire]:
        """The fields that read another node, by field name."""
        return {name: value for name in type(self).model_fields if isinstance(value := getattr(self, name), Wire)}

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        """Do the work, yielding events; ``inputs`` holds one value for each wired field. Returns the node's value."""
        raise TypeError(f"{type(self).__name__} does not say what it does: define run()")


Graph = Mapping[str, Node]


def order(graph: Graph, target: str) -> list[str]:
    """Ids that ``target`` needs, itself last, each after what it reads.

    Raises ``ValueError`` for a wire to nowhere or a cycle.
    """
    done: list[str] = []
    open_ids: list[str] = []

    def visit(node_id: str, reader: str) -> None:
        if node_id in done:
            return
        if node_id not in graph:
            raise ValueError(f"{reader} reads {node_id!r}, which is not in the graph")
        if node_id in open_ids:
            raise ValueError(f"the graph turns in a circle: {' -> '.join([*open_ids, node_id])}")
        open_ids.append(node_id)
        for wire in graph[node_id].wires().values():
            visit(wire.node, node_id)
        open_ids.pop()
        done.append(node_id)

    visit(target, "the caller")
    return done


def signatures(graph: Graph, target: str) -> dict[str, str]:
    """For each needed id, a hash of its node's type and settings and of everything upstream."""
    found: dict[str, str] = {}
    for node_id in order(graph, target):
        node = graph[node_id]
        wires = {name: found[wire.node] for name, wire in node.wires().items()}
        settings = node.model_dump(mode="json", exclude=set(wires))
        text = json.dumps([type(node).__module__, type(node).__qualname__, settings, wires], sort_keys=True)
        found[node_id] = hashlib.sha256(text.encode()).hexdigest()
    return found


def _size_bytes(value: Any) -> int:
    """Bytes of the arrays in a node's value, which may be a tensor, an array or a dataclass of them."""
    if isinstance(value, int | float | str | bytes | Path | None):
        return 64
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else vars(value).values()
    return sum(_size_bytes(member) for member in members)


@dataclass
class NodeCache:
    """Values by signature; the longest unused leave when ``limit_bytes`` is passed."""

    limit_bytes: int = 512 * 1024**2
    _values: OrderedDict[str, tuple[Any, int]] = field(default_factory=OrderedDict)

    def __contains__(self, signature: str) -> bool:
        return signature in self._values

    def get(self, signature: str) -> Any:
        """The stored value, which becomes the most recently used. Raises ``KeyError``."""
        self._values.move_to_end(signature)
        return self._values[signature][0]

    def put(self, signature: str, value: Any) -> None:
        """Store ``value`` and drop the longest unused ones beyond the limit."""
        self._values[signature] = (value, _size_bytes(value))
        while len(self._values) > 1 and sum(size for _, size in self._values.values()) > self.limit_bytes:
            self._values.popitem(last=False)

    def keep(self, signatures: Iterable[str]) -> None:
        """Forget everything else, to give memory back."""
        kept = set(signatures)
        self._values = OrderedDict((key, value) for key, value in self._values.items() if key in kept)

    def clear(self) -> None:
        """Forget everything, for instance to give memory back."""
        self._values.clear()


def execute(graph: Graph, target: str, context: Context, cache: NodeCache) -> Generator[Event, None, Any]:
    """Run what ``target`` needs and is not cached; yields the nodes' events and ``Metric('seconds.<id>', s)`` for each run.

    Returns the target's value. Closing the generator closes the running node's.
    """
    keys = signatures(graph, target)
    plan = needed(graph, target, keys, cache)
    values: dict[str, Any] = {}
    for node_id in plan:
        if keys[node_id] in cache:
            values[node_id] = cache.get(keys[node_id])
            continue
        node = graph[node_id]
        inputs = {name: values[wire.node] for name, wire in node.wires().items()}
        started = time.perf_counter()
        values[node_id] = yield from node.run(context, **inputs)
        yield Metric(f"seconds.{node_id}", time.perf_counter() - started)
        if node.cached:
            cache.put(keys[node_id], values[node_id])
    return values[target]


def needed(graph: Graph, target: str, keys: Mapping[str, str], cache: NodeCache) -> list[str]:
    """The ids to visit in order: a cached node stands for everything behind it."""
    wanted: set[str] = set()

    def visit(node_id: str) -> None:
        if node_id in wanted:
            return
        wanted.add(node_id)
        if keys[node_id] not in cache:
            for wire in graph[node_id].wires().values():
                visit(wire.node)

    visit(target)
    return [node_id for node_id in order(graph, target) if node_id in wanted]
