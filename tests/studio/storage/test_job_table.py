"""Claims, fencing numbers and the order of the queue."""

from __future__ import annotations

import pytest

from studio.storage import jobs
from studio.storage.database import Database, sqlite3


@pytest.fixture
def connection(tmp_path):
    database = Database.open(tmp_path)
    with database.write() as connection:
        yield connection
    database.close()


def add(connection, job_id: str, priority: int = 0, key: str | None = None) -> None:
    jobs.insert(connection, jobs.NewJob(job_id, "local", priority, "{}", "{}", key, "2030"))


def test_claims_follow_priority_then_order(connection):
    for job_id, priority in (("a", 0), ("b", 1), ("c", 0)):
        add(connection, job_id, priority)
    assert [jobs.claim(connection, 1.0, "2030").id for _ in range(3)] == ["b", "a", "c"]
    assert jobs.claim(connection, 1.0, "2030") is None


def test_an_old_fencing_number_is_not_listened_to(connection):
    add(connection, "a")
    first = jobs.claim(connection, 1.0, "2030")
    assert jobs.put_back(connection, "a", first.fence, unspent=False)
    second = jobs.claim(connection, 1.0, "2030")
    assert (second.fence, second.attempts) == (first.fence + 1, 2)
    late = (
        jobs.renew(connection, "a", first.fence, 9.0),
        jobs.finish(connection, "a", first.fence, "clip", "2030"),
        jobs.fail(connection, "a", first.fence, ("no", None), "2030"),
        jobs.stop(connection, "a", first.fence, "2030"),
        jobs.put_back(connection, "a", first.fence, unspent=True),
    )
    assert late == (False,) * 5 and jobs.get(connection, "a") == second.__class__(**{**vars(second), "position": None})
    assert jobs.finish(connection, "a", second.fence, "clip", "2030")
    assert not jobs.finish(connection, "a", second.fence, "clip", "2030"), "done is done"


def test_an_interrupted_attempt_does_not_count_and_keeps_its_place(connection):
    add(connection, "a")
    add(connection, "b")
    lease = jobs.claim(connection, 1.0, "2030")
    jobs.put_back(connection, "a", lease.fence, unspent=True)
    row = jobs.get(connection, "a")
    assert (row.state, row.attempts, row.position, row.started_at) == ("queued", 0, 1, None)


def test_keys_are_unique_for_an_owner(connection):
    add(connection, "a", key="k")
    with pytest.raises(sqlite3.IntegrityError):
        add(connection, "b", key="k")


def test_the_queue_is_read_through_its_index(connection):
    plan = " ".join(
        row[3]
        for row in connection.execute(
            "EXPLAIN QUERY PLAN SELECT id FROM jobs WHERE state = 'queued' ORDER BY priority DESC, order_number LIMIT 1"
        )
    )
    assert "jobs_queue" in plan and "TEMP B-TREE" not in plan
