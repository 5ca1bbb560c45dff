"""Projects saved as one file, and brought back with their clips, checked, byte for byte what they were."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.clip_io import read_request
from pipelines.contract import Clip, InvalidRequest, StorageFull
from studio.services.media import MediaService
from studio.services.project_records import Project, clips_named, project_record
from studio.services.projects import insert_project, owned
from studio.settings import Settings
from studio.storage import clips
from studio.storage.clips import ClipRow
from studio.storage.database import Connection, Database
from studio.timelines.judging import check_clip
from studio.timelines.package import Contents, PackedClip, digest, read_package, write_package
from studio.timelines.values import Timeline, new_id


@dataclass(frozen=True)
class _Arrival:
    """A clip of a package: where it was unpacked, and the id that it has here."""

    packed: PackedClip
    clip: Clip
    file: Path
    id: str
    is_known: bool


class ProjectFiles:
    """The way of projects out of this studio and into it."""

    def __init__(self, database: Database, media: MediaService, settings: Settings) -> None:
        self._database = database
        self._media = media
        self._settings = settings

    def save(self, owner: str, project_id: str, path: Path) -> None:
        """Write the project as it is now to ``path``, with all takes of its shots.

        Raises ``NotFound``, or ``InvalidRequest`` when a take's file is gone.
        """
        with self._database.read() as connection:
            timeline = Timeline.model_validate_json(owned(connection, owner, project_id).timeline)
            found = clips_named(connection, owner, (take for shot in timeline.shots for take in shot.takes))
        files = {clip_id: self._settings.data_dir / row.path for clip_id, row in found.items()}
        for shot in timeline.shots:
            for take in shot.takes:
                if take not in files or not files[take].exists():
                    raise InvalidRequest(
                        f"shot {shot.name!r} has a take that is no longer in the library; remove that take first.", field="shot"
                    )
        packed = tuple(_packed(row, files[row.id]) for row in found.values())
        contents = Contents(maker="aiprod-studio", kind="project", version=1, timeline=timeline, clips=packed)
        write_package(path, contents, files)

    def bring(self, owner: str, path: Path) -> Project:
        """A new project from a file that ``save`` wrote, here or in another studio.

        A clip that is in the owner's library already, with the same bytes, is used from there. Raises ``InvalidRequest``,
        ``TooLarge`` or ``StorageFull``; then nothing has come in.
        """
        with tempfile.TemporaryDirectory(prefix="studio-project-") as folder:
            contents = read_package(path, Path(folder), self._settings.max_project_bytes)
            accounts = {clip.id: self._account(owner, clip, Path(folder) / f"{clip.id}.mp4") for clip in contents.clips}
            with self._database.read() as connection:
                arrivals = {each.id: self._arrival(connection, owner, each, Path(folder), accounts) for each in contents.clips}
            return self._keep(owner, contents.timeline, arrivals)

    def _account(self, owner: str, packed: PackedClip, file: Path) -> Clip:
        """What the engine said about the clip; the file is one of that shape, and its images are now the owner's."""
        clip = packed.clip()
        check_clip(file, packed.member, clip)
        request = clip.request
        if not request.images():
            return clip
        text, images = request.model_dump_json(), read_request(file)[1]
        for reference in request.images():
            if reference not in images:
                raise InvalidRequest(f"file holds {packed.member} without an image that it was made from.", field="file")
            text = text.replace(reference, self._media.add_image(owner, images[reference]))
        return Clip.model_validate({**clip.model_dump(), "request": json.loads(text)})

    def _arrival(
        self, connection: Connection, owner: str, packed: PackedClip, folder: Path, accounts: Mapping[str, Clip]
    ) -> _Arrival:
        """Which id the clip gets: its own where that is free or names the very same clip, otherwise a new one."""
        file = folder / f"{packed.id}.mp4"
        here = clips.get(connection, owner, packed.id)
        path = None if here is None else self._settings.data_dir / here.path
        if path is not None and path.exists() and digest(path) == packed.sha256:
            return _Arrival(packed, accounts[packed.id], file, packed.id, is_known=True)
        is_free = connection.execute("SELECT 1 FROM clips WHERE id = ?", (packed.id,)).fetchone() is None
        return _Arrival(packed, accounts[packed.id], file, packed.id if is_free else new_id(), is_known=False)

    def _keep(self, owner: str, timeline: Timeline, arrivals: Mapping[str, _Arrival]) -> Project:
        """Files first, then rows, all or none."""
        fresh = [each for each in arrivals.values() if not each.is_known]
        rows = [self._row(owner, each, arrivals) for each in fresh]
        placed: list[Path] = []
        try:
            for row, each in zip(rows, fresh, strict=True):
                placed.append(target := self._settings.data_dir / row.path)
                _copy(each.file, target)
            with self._database.write() as connection:
                for row in rows:
                    clips.insert(connection, row)
                for each in arrivals.values():
                    if each.is_known:
                        clips.set_deleted(connection, each.id, None)
                return project_record(connection, insert_project(connection, owner, _renamed(timeline, arrivals)))
        except BaseException:
            for path in placed:
                path.unlink(missing_ok=True)
            raise

    def _row(self, owner: str, arrival: _Arrival, arrivals: Mapping[str, _Arrival]) -> ClipRow:
        folder = hashlib.sha256(owner.encode()).hexdigest()[:16]
        packed, clip = arrival.packed, arrival.clip
        root = self._settings.data_dir
        source = packed.source
        account = clip.model_dump_json(exclude={"path"})
        for named, each in arrivals.items():  # what it was made of, under the ids that those clips have here
            account = account.replace(f"clip:{named}", f"clip:{each.id}")
        return ClipRow(
            id=arrival.id,
            owner=owner,
            job_id=None,
            path=str((self._settings.clips_dir / folder / f"{arrival.id}.mp4").relative_to(root)),
            thumbnail=str((self._settings.thumbnails_dir / folder / f"{arrival.id}.webp").relative_to(root)),
            name=packed.name,
            prompt=clip.request.prompt,
            tags=json.dumps(packed.tags, ensure_ascii=False),
            favourite=int(packed.favourite),
            model=clip.request.model,
            modality=clip.request.modality,
            size_bytes=packed.size_bytes,
            clip=account,
            created_at=packed.created_at,
            deleted_at=None,
            source=arrivals[source].id if source is not None and source in arrivals else source,
        )


def _packed(row: ClipRow, file: Path) -> PackedClip:
    return PackedClip(
        id=row.id,
        sha256=digest(file),
        size_bytes=file.stat().st_size,
        name=row.name,
        tags=tuple(json.loads(row.tags)),
        favourite=bool(row.favourite),
        created_at=row.created_at,
        source=row.source,
        made=json.loads(row.clip),
    )


def _renamed(timeline: Timeline, arrivals: Mapping[str, _Arrival]) -> Timeline:
    """The timeline with the ids that its clips have here."""
    shots = tuple(
        shot.model_copy(update={"takes": tuple(arrivals[take].id for take in shot.takes), "chosen": arrivals[shot.chosen].id})
        for shot in timeline.shots
    )
    return timeline.model_copy(update={"shots": shots})


def _copy(source: Path, target: Path) -> None:
    """Give a file its place; it appears complete or not at all. Raises ``StorageFull``."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(target)
    except OSError as error:
        with suppress(OSError):  # a read-only disk refuses even this, and its own error says more
            temporary.unlink(missing_ok=True)
        raise StorageFull(
            f"the clip could not be written to {target.parent} ({os.strerror(error.errno or 0)}): {StorageFull.remedy(error)}."
        ) from error
