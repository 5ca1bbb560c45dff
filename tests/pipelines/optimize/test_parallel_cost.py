"""The cost model: right about published tables, never above the number of GPUs, and sensible about links and memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.parallel import LARGEST_ERROR, TABLES, ltx, projected
from pipelines.guidance import Branch
from pipelines.optimize.parallel.branches import busiest, share_out
from pipelines.optimize.parallel.cost import NVLINK, Machine, Task, Weights, choose
from pipelines.optimize.parallel.layout import Layout

SHAPE = ltx(121, 512, 768)
EVERY = frozenset(Branch)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_published_tables_are_met(table):
    for layout, told, guess in table.predicted():
        assert abs(guess / told - 1) <= LARGEST_ERROR, layout


def test_nothing_is_ever_faster_than_its_number_of_ranks():
    for table in projected().values():
        for count, choice in table.items():
            assert 1 <= choice.speedup <= choice.layout.size <= count
    no_link = Machine(flops=1e12, link_bytes=1e30)
    for size in range(1, 17):
        assert choose(Task(SHAPE, EVERY, no_link), size).speedup <= size * (1 + 1e-9)


def test_a_slow_link_is_left_alone():
    slow = Machine(flops=1e15, link_bytes=1e4)
    assert choose(Task(SHAPE, frozenset({Branch.POSITIVE}), slow), 8).layout == Layout()
    some = Machine(flops=1e13, link_bytes=1e7)  # latents can be sent over it, tokens cannot
    assert choose(Task(SHAPE, EVERY, some), 8).layout == Layout(branches=4)


def test_what_does_not_fit_is_split_by_width_and_says_so():
    task = Task(SHAPE, EVERY, replace(NVLINK, memory_bytes=33e9), Weights(38e9, 15e9))
    choice = choose(task, 2, (1, 2))
    assert choice.layout == Layout(tensor=2) and choice.cost.held_bytes <= 33e9
    none = choose(replace(task, machine=replace(NVLINK, memory_bytes=1e9)), 4, (1, 2, 4))
    assert none.layout.tensor == 4 and "nothing fits" in none.why


def test_heads_that_do_not_divide_go_round_a_ring():
    shape = replace(SHAPE, heads=7, video_heads=7)
    assert choose(Task(shape, frozenset({Branch.POSITIVE}), NVLINK), 4).layout == Layout(ring=4)


def test_branches_are_shared_out_to_the_least_busy():
    half = share_out(EVERY, 2, 0.5)
    assert {Branch.POSITIVE, Branch.PERTURBED} in half and busiest(half, 0.5) == 2
    assert [busiest(share_out(EVERY, ranks, 0.5), 0.5) for ranks in (1, 3, 4, 9)] == [3.5, 1.5, 1, 1]
    assert set().union(*share_out(EVERY, 3, 0.0)) == EVERY
