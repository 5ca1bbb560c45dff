"""Graphs are checked, run in order, and run only what changed."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pipelines.contract import Event, Metric, Progress
from pipelines.graph import Context, Node, NodeCache, Wire, execute, order, signatures

RUNS: list[str] = []


class Number(Node):
    value: int

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        RUNS.append(f"number {self.value}")
        yield Progress("number", 1, 1)
        return self.value


class Sum(Node):
    left: Wire
    right: Wire
    label: str = ""

    def run(self, context: Context, **inputs: Any) -> Generator[Event, None, Any]:
        RUNS.append(f"sum {self.label}")
        try:
            yield Progress("sum", 0, 1)
            yield Progress("sum", 1, 1)
        finally:
            RUNS.append("sum freed")
        return inputs["left"] + inputs["right"]


class Nothing:
    def model(self, model_id: str) -> Any:
        raise LookupError(model_id)

    def media_path(self, reference: str) -> Path:
        raise LookupError(reference)


def value_of(graph: dict[str, Node], target: str, cache: NodeCache) -> Any:
    RUNS.clear()
    steps = execute(graph, target, Nothing(), cache)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def a_sum(left: int = 1, label: str = "") -> dict[str, Node]:
    return {
        "a": Number(value=left),
        "b": Number(value=10),
        "total": Sum(left=Wire(node="a"), right=Wire(node="b"), label=label),
        "unused": Number(value=99),
    }


def test_only_what_the_target_needs_runs():
    assert value_of(a_sum(), "total", NodeCache()) == 11
    assert RUNS == ["number 1", "number 10", "sum ", "sum freed"]


def test_only_what_changed_runs_again():
    cache = NodeCache()
    value_of(a_sum(), "total", cache)
    assert value_of(a_sum(), "total", cache) == 11 and RUNS == []
    assert value_of(a_sum(left=5), "total", cache) == 15
    assert RUNS == ["number 5", "sum ", "sum freed"]
    assert value_of(a_sum(label="again"), "total", cache) == 11
    assert RUNS == ["sum again", "sum freed"]


def test_signature_knows_ancestry_but_not_names():
    first = signatures(a_sum(), "total")
    assert first["total"] != signatures(a_sum(left=2), "total")["total"]
    renamed = {"x": Number(value=1), "y": Number(value=10), "t": Sum(left=Wire(node="x"), right=Wire(node="y"))}
    assert first["total"] == signatures(renamed, "t")["t"]


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        ({"s": Sum(left=Wire(node="gone"), right=Wire(node="gone"))}, "'gone', which is not in the graph"),
        ({"s": Sum(left=Wire(node="s"), right=Wire(node="s"))}, "circle: s -> s|circle"),
    ],
)
def test_broken_graphs_are_refused(graph, words):
    with pytest.raises(ValueError, match=words):
        order(graph, "s")


def test_closing_reaches_the_running_node():
    RUNS.clear()
    steps = execute(a_sum(), "total", Nothing(), NodeCache())
    for event in steps:
        if event == Progress("sum", 0, 1):
            break
    steps.close()
    assert RUNS[-1] == "sum freed"


def test_each_run_reports_its_seconds():
    events = list(execute(a_sum(), "total", Nothing(), NodeCache()))
    assert [e.name for e in events if isinstance(e, Metric)] == ["seconds.a", "seconds.b", "seconds.total"]


def test_cache_drops_the_longest_unused():
    cache = NodeCache(limit_bytes=200)
    for name in "abc":
        cache.put(name, 1)
    cache.get("a")
    cache.put("d", 1)
    assert "b" not in cache and "a" in cache and "d" in cache
