"""Which captions are measured."""

from __future__ import annotations

import pytest

from pipelines.contract import InvalidRequest
from pipelines.metrics.selection import FIRST_SEED, kind_of, select
from pipelines.world import is_held_out


def test_there_are_enough_of_every_kind_and_half_are_unseen():
    asked = select(60)
    kinds = [each.kind for each in asked]
    assert all(kinds.count(kind) >= 12 for kind in ("impact", "speech", "dance"))
    assert sum(each.is_unseen for each in asked) == 30
    assert all(each.is_unseen == is_held_out(each.scene) and each.kind == kind_of(each.scene) for each in asked)
    assert len({each.seed for each in asked}) == 60 and min(each.seed for each in asked) >= FIRST_SEED


def test_seeds_decide():
    assert select(12) == select(12)
    assert {each.prompt for each in select(12)} != {each.prompt for each in select(12, seed=1)}


def test_too_few_clips_are_refused():
    with pytest.raises(InvalidRequest, match="clips is 3"):
        select(3)
