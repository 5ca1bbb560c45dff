"""The latents of several clips made in the same transformer calls, put where each clip's own run finds them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any, TypeVar, cast

from pipelines.contract import Done, GenerationRequest, Metric, Preview, Progress, StudioError
from pipelines.graph import Context, Graph, NodeCache, execute, signatures
from pipelines.nodes.denoise import Denoise, Task
from pipelines.passes import Passes
from pipelines.sampling import denoise_together
from pipelines.stages import in_one_stage

Told = Progress | Preview | Metric
Value = TypeVar("Value")
ByName = Generator[tuple[str, Told], None, Value]
"""Events, each with the name of the run that it belongs to."""


def denoise_ahead(
    context: Context, cache: NodeCache, requests: Mapping[str, GenerationRequest], is_wanted: Callable[[str], bool]
) -> ByName[dict[str, float]]:
    """Put the latents of ``requests``, all of one kind (``batching.kind_of``), into ``cache``; each is as it would be alone.

    Returns the seconds that each took of the time of all, by signature. A run that ``is_wanted`` no longer is left after its
    step. What fails for one request is left to its own run, which meets it again and says so.
    """
    model = context.model(next(iter(requests.values())).model)
    tasks: dict[str, Task] = {}
    keys: dict[str, str] = {}
    for name, request in requests.items():
        graph = in_one_stage(request, model.sha256)
        key = signatures(graph, "denoise")["denoise"]
        if key in cache or key in keys.values() or not is_wanted(name):
            continue
        try:
            tasks[name] = yield from _ready(name, graph, context, cache, len(requests))
        except StudioError:
            continue
        keys[name] = key
    if len(tasks) < 2:
        return {}
    started = time.perf_counter()
    done = yield from _denoised(tasks, context, is_wanted)
    share = (time.perf_counter() - started) / max(1, len(done))
    for name, latents in done.items():
        cache.put(keys[name], latents)
        yield name, Metric("seconds.denoise", share)
        yield name, Metric("batch.size", float(len(done)))
    return {keys[name]: round(share, 4) for name in done}


def _ready(name: str, graph: Graph, context: Context, cache: NodeCache, clips: int) -> ByName[Task]:
    """The denoising of a graph, all that it reads at hand; as many ``clips`` as this share the time."""
    node = cast(Denoise, graph["denoise"])
    inputs = {}
    for field, wire in node.wires().items():
        with closing(execute(graph, wire.node, context, cache)) as events:
            while True:
                try:
                    event = next(events)
                except StopIteration as finished:
                    inputs[field] = finished.value
                    break
                assert not isinstance(event, Done), "only whole runs end with it"
                yield name, event
    task = node.task(context.model(node.model), inputs, clips)
    yield name, task.progress(0)
    return task


def _denoised(tasks: Mapping[str, Task], context: Context, is_wanted: Callable[[str], bool]) -> ByName[dict[str, Any]]:
    first = next(iter(tasks.values()))
    courses = {name: task.course(Passes(task.model, task.canvas, task.steering)) for name, task in tasks.items()}
    with first.node.stack(context, first.model), closing(denoise_together(courses)) as steps:
        wanted: bool | None = None
        while True:
            try:
                name, step = steps.send(wanted)
            except StopIteration as finished:
                return cast(dict[str, Any], finished.value)
            for event in tasks[name].seen(step):
                yield name, event
            wanted = is_wanted(name)
