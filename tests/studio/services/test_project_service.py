"""Projects in the library: made, changed, undone without limit, over a restart; two tabs; other people; the trash."""

from __future__ import annotations

import random

import pytest

from pipelines.contract import Conflict, InvalidRequest, NotFound
from studio.services.project_records import Project
from studio.settings import Settings
from studio.storage import clips
from studio.studio import Studio
from studio.timelines.values import (
    AddShot,
    AddTake,
    ChooseTake,
    MoveShot,
    Operation,
    RemoveShot,
    RemoveTake,
    RenameProject,
    RenameShot,
    SplitShot,
    TrimShot,
)
from tests.studio.rooms import OWNER
from tests.studio.takes import put_take


def do(studio: Studio, project: Project, *operations: Operation) -> Project:
    for operation in operations:
        project = studio.projects.change(OWNER, project.id, operation, revision=project.revision)
    return project


def content(project: Project) -> tuple:
    return project.name, project.shots


def test_a_project_is_made_opened_and_listed(idle: Studio) -> None:
    one, two = put_take(idle, "one"), put_take(idle, "two", num_frames=24)
    project = idle.projects.create(OWNER, "  My film ", [one, two])
    assert project.name == "My film" and [shot.chosen for shot in project.shots] == [one, two]
    assert project.duration_s == 3 and (project.undo, project.redo, project.revision) == (None, None, 1)
    assert [take.name for shot in project.shots for take in shot.takes] == ["one", "two"]
    assert idle.projects.get(OWNER, project.id) == project
    later = idle.projects.create(OWNER, "Another")
    assert [(each.id, each.shots) for each in idle.projects.list(OWNER)] == [(later.id, 0), (project.id, 2)]
    do(idle, project, RenameProject(name="First again"))
    assert [each.name for each in idle.projects.list(OWNER)] == ["First again", "Another"]


def test_edits_become_takes_and_trims_count(idle: Studio) -> None:
    one = put_take(idle, "one")
    retake = put_take(idle, "one, better", source=one)
    project = idle.projects.create(OWNER, "film", [one])
    shot = project.shots[0].id
    project = do(idle, project, AddTake(shot=shot, clip=retake), TrimShot(shot=shot, start_s=0.25, end_s=0.75))
    assert [(take.made, take.source) for take in project.shots[0].takes] == [("generate", None), ("retake", one)]
    assert project.shots[0].chosen == retake and project.duration_s == 0.5
    project = do(idle, project, ChooseTake(shot=shot, clip=one), RenameShot(shot=shot, name="The ball"))
    assert project.shots[0].chosen == one and project.shots[0].name == "The ball" and project.undo == "rename_shot"


@pytest.mark.parametrize("seed", range(3))
def test_undo_all_is_the_start_and_redo_all_the_end_also_after_a_restart(settings: Settings, seed: int) -> None:
    chance = random.Random(seed)
    studio = Studio.open(settings)
    known = [put_take(studio, f"clip {number}") for number in range(4)]
    project = studio.projects.create(OWNER, "film", known[:2])
    seen = [content(project)]
    while len(seen) < 60:
        shots = project.shots
        shot = chance.choice(shots) if shots else None
        options: list[Operation] = [AddShot(clip=chance.choice(known)), RenameProject(name=f"film {len(seen)}")]
        if shot is not None:
            fresh = [clip for clip in known if clip not in [take.id for take in shot.takes]]
            options += [
                RemoveShot(shot=shot.id),
                MoveShot(shot=shot.id, index=chance.randrange(len(shots))),
                ChooseTake(shot=shot.id, clip=chance.choice(shot.takes).id),
                TrimShot(shot=shot.id, start_s=chance.randrange(10) / 12),
                *[AddTake(shot=shot.id, clip=clip) for clip in fresh[:1]],
                *([SplitShot(shot=shot.id, at_s=(shot.start_s or 0) + 1 / 12)] if (shot.duration_s or 0) > 1.5 / 12 else []),
            ]
        before = project.revision
        project = do(studio, project, chance.choice(options))
        if project.revision > before:
            seen.append(content(project))
    studio.stop()
    studio = Studio.open(settings)
    for earlier in reversed(seen[:-1]):
        project = studio.projects.undo(OWNER, project.id, revision=project.revision)
        assert content(project) == earlier
    with pytest.raises(Conflict, match="nothing to undo"):
        studio.projects.undo(OWNER, project.id, revision=project.revision)
    for later in seen[1:]:
        project = studio.projects.redo(OWNER, project.id, revision=project.revision)
        assert content(project) == later
    with pytest.raises(Conflict, match="nothing to redo"):
        studio.projects.redo(OWNER, project.id, revision=project.revision)
    studio.stop()


def test_a_change_after_an_undo_takes_the_redo_away(idle: Studio) -> None:
    project = idle.projects.create(OWNER, "film", [put_take(idle)])
    project = do(idle, project, RenameProject(name="a"), RenameProject(name="b"))
    project = idle.projects.undo(OWNER, project.id, revision=project.revision)
    assert (project.name, project.undo, project.redo) == ("a", "rename_project", "rename_project")
    project = do(idle, project, RenameProject(name="c"))
    assert project.redo is None
    project = idle.projects.undo(OWNER, project.id, revision=project.revision)
    assert project.name == "a"


def test_what_changes_nothing_is_not_history(idle: Studio) -> None:
    project = idle.projects.create(OWNER, "film", [put_take(idle)])
    assert do(idle, project, RenameProject(name="film"), MoveShot(shot=project.shots[0].id, index=0)) == project


def test_two_tabs_do_not_overwrite_each_other(idle: Studio) -> None:
    project = idle.projects.create(OWNER, "film")
    do(idle, project, RenameProject(name="by the first tab"))
    for late in (
        lambda: do(idle, project, RenameProject(name="by the second")),
        lambda: idle.projects.undo(OWNER, project.id, revision=project.revision),
        lambda: idle.projects.redo(OWNER, project.id, revision=project.revision),
    ):
        with pytest.raises(Conflict, match="changed elsewhere") as refused:
            late()
        assert refused.value.field == "revision"
    assert idle.projects.get(OWNER, project.id).name == "by the first tab"


def test_projects_and_clips_are_their_owners(idle: Studio) -> None:
    mine, theirs = put_take(idle), put_take(idle, owner="somebody")
    project = idle.projects.create(OWNER, "film", [mine])
    for look in (
        lambda: idle.projects.get("somebody", project.id),
        lambda: idle.projects.delete("somebody", project.id),
        lambda: idle.projects.undo("somebody", project.id, revision=1),
        lambda: idle.project_exports.make("somebody", project.id, "aiprod"),
    ):
        with pytest.raises(NotFound):
            look()
    assert idle.projects.list("somebody") == []
    for clip in (theirs, "0" * 32):
        with pytest.raises(InvalidRequest, match="not one of your library"):
            do(idle, project, AddShot(clip=clip))
    with pytest.raises(InvalidRequest, match="not one of your library"):
        idle.projects.create(OWNER, "film", ["../../x"])
    assert idle.projects.get(OWNER, project.id) == project


def test_the_trash_keeps_projects_and_projects_keep_takes_in_the_trash(idle: Studio) -> None:
    one = put_take(idle)
    project = idle.projects.create(OWNER, "film", [one])
    idle.library.delete(OWNER, one)
    assert idle.projects.get(OWNER, project.id).shots[0].takes[0].state == "trash"
    assert idle.projects.delete(OWNER, project.id).deleted_at is not None
    assert idle.projects.list(OWNER) == [] and [each.id for each in idle.projects.list(OWNER, deleted=True)] == [project.id]
    with pytest.raises(Conflict, match="in the trash"):
        do(idle, project, RenameProject(name="x"))
    idle.projects.purge()
    assert idle.projects.undelete(OWNER, project.id).deleted_at is None
    idle.projects.delete(OWNER, project.id)
    with idle._database.write() as connection:
        connection.execute("UPDATE projects SET deleted_at = '2020-01-01T00:00:00.000000Z'")
    idle.projects.purge()
    with pytest.raises(NotFound):
        idle.projects.get(OWNER, project.id)


def test_a_take_that_is_gone_is_shown_as_gone_and_not_exported(idle: Studio) -> None:
    one = put_take(idle)
    project = idle.projects.create(OWNER, "film", [one])
    idle.library.delete(OWNER, one)
    with idle._database.write() as connection:
        clips.remove_deleted_before(connection, "9")
    found = idle.projects.get(OWNER, project.id)
    assert found.shots[0].takes[0].state == "gone" and found.shots[0].duration_s is None and found.duration_s == 0
    for kind in ("film", "otio", "srt"):
        with pytest.raises(InvalidRequest, match="no longer in the library"):
            idle.project_exports.make(OWNER, project.id, kind)
    with pytest.raises(InvalidRequest, match="no longer in the library"):
        idle.project_exports.make(OWNER, project.id, "aiprod")
    shot, other = project.shots[0].id, put_take(idle)
    project = do(idle, project, AddTake(shot=shot, clip=other))
    for operation in (ChooseTake(shot=shot, clip=one), RemoveTake(shot=shot, clip=other)):
        with pytest.raises(InvalidRequest, match="deleted for good"):
            do(idle, project, operation)
    assert do(idle, project, RemoveTake(shot=shot, clip=one)).shots[0].chosen == other


def test_a_shot_is_split_between_two_of_its_frames(idle: Studio) -> None:
    """The clip has 12 frames at 12 a second."""
    project = idle.projects.create(OWNER, "film", [put_take(idle)])
    shot = project.shots[0].id
    for at_s in (0.0, 0.02, 0.99, 1.0, 5.0):
        with pytest.raises(InvalidRequest) as refused:
            do(idle, project, SplitShot(shot=shot, at_s=at_s))
        assert refused.value.field == "at_s"
    split = do(idle, project, SplitShot(shot=shot, at_s=0.25))
    assert [each.duration_s for each in split.shots] == [0.25, 0.75] and split.duration_s == project.duration_s
    back = idle.projects.undo(OWNER, project.id, revision=split.revision)
    assert content(back) == content(project) and back.redo == "split_shot"
    assert content(idle.projects.redo(OWNER, project.id, revision=back.revision)) == content(split)


@pytest.mark.parametrize(
    ("trim", "field"), [({"start_s": 1.0}, "start_s"), ({"start_s": 7}, "start_s"), ({"end_s": 1.2}, "end_s")]
)
def test_trims_outside_of_the_take_are_refused(idle: Studio, trim: dict, field: str) -> None:
    project = idle.projects.create(OWNER, "film", [put_take(idle)])
    with pytest.raises(InvalidRequest) as refused:
        do(idle, project, TrimShot(shot=project.shots[0].id, **trim))
    assert refused.value.field == field
    assert idle.projects.get(OWNER, project.id) == project


def test_a_take_shorter_than_the_trim_begins_is_not_chosen(idle: Studio) -> None:
    long, short = put_take(idle, num_frames=24), put_take(idle)
    project = idle.projects.create(OWNER, "film", [long])
    shot = project.shots[0].id
    project = do(idle, project, TrimShot(shot=shot, start_s=1.5), AddTake(shot=shot, clip=short, choose=False))
    with pytest.raises(InvalidRequest, match="trim the shot first"):
        do(idle, project, ChooseTake(shot=shot, clip=short))
    project = do(idle, project, TrimShot(shot=shot, start_s=0.5, end_s=1.9), ChooseTake(shot=shot, clip=short))
    assert project.shots[0].duration_s == 0.5, "the take ends before the trim does"


def test_films_that_would_only_wait_are_refused(idle: Studio) -> None:
    project = idle.projects.create(OWNER, "film", [put_take(idle)])
    taken = 0
    while idle.project_exports._queue.acquire(blocking=False):
        taken += 1
    with pytest.raises(Conflict, match="format film has to wait"):
        idle.project_exports.make(OWNER, project.id, "film")
    assert idle.project_exports.make(OWNER, project.id, "srt").size_bytes > 0, "only films are rationed"
    for _ in range(taken):
        idle.project_exports._queue.release()
    assert idle.project_exports.make(OWNER, project.id, "film").size_bytes > 0


def test_an_empty_project_and_an_unknown_format(idle: Studio) -> None:
    project = idle.projects.create(OWNER, "film")
    with pytest.raises(InvalidRequest, match="no shots"):
        idle.project_exports.make(OWNER, project.id, "film")
    with pytest.raises(InvalidRequest, match="use one of film, aiprod, otio, fcpxml, srt"):
        idle.project_exports.make(OWNER, project.id, "vhs")
    for name in ("", " \u200b", "x" * 300):
        with pytest.raises(InvalidRequest) as refused:
            idle.projects.create(OWNER, name)
        assert refused.value.field == "name"
