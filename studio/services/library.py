"""Everybody's clips: pages, search, favourites, tags, the trash, and settings read back from a file."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.clip_io import read_request
from pipelines.contract import AnyRequest, Conflict, InvalidRequest, NotFound, TooLarge, stored_request
from pipelines.metrics.catalogue import BY_NAME
from pipelines.moments import Moments
from pipelines.optimize.latent_store import SUFFIX
from studio.media import peaks_of, strip_of, thumbnail_of
from studio.services.media import MediaService, write_whole
from studio.services.present import clip_record
from studio.services.records import ClipFilter, ClipPage, Family, StoredClip, now
from studio.settings import Settings
from studio.storage import clips
from studio.storage.clips import ClipQuery, ClipRow, Rank
from studio.storage.database import Connection, Database

_MAX_PAGE = 200
_MAX_NAME_CHARACTERS = 200
_MAX_TAG_CHARACTERS = 40
_MAX_TAGS = 20
_TRASH_DAYS = 30
_MAX_ANCESTORS = 200
_EVERYTHING = ClipFilter()
_OUR_FILE = re.compile(r"[0-9a-f]{32}\.(mp4|latents|webp|strip-\d+\.webp)|\..*\.part(\.mp4)?")
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


class LibraryService:
    """Finished clips, kept until their owner throws them away."""

    def __init__(self, database: Database, media: MediaService, settings: Settings) -> None:
        self._database = database
        self._media = media
        self._settings = settings

    def page(self, owner: str, filter: ClipFilter = _EVERYTHING, *, cursor: str | None = None, limit: int = 24) -> ClipPage:
        """Clips in the filter's order; ``cursor`` is the ``next`` of the page before. Raises ``InvalidRequest``."""
        if not 1 <= limit <= _MAX_PAGE:
            raise InvalidRequest(f"limit is {limit}: ask for 1 to {_MAX_PAGE} clips at a time.", field="limit")
        query = ClipQuery(
            owner,
            text=filter.text[:1000],
            favourite=filter.favourite,
            tag=filter.tag,
            model=filter.model,
            modality=filter.modality,
            deleted=filter.deleted,
            oldest_first=filter.order == "oldest",
        )
        if filter.best is not None:
            return self._best(query, filter.best, cursor, limit)
        known_total = None
        if cursor is not None:
            after, known_total = _read_cursor(cursor)
            query = replace(query, after=after)
        with self._database.read() as connection:
            total = clips.count(connection, query) if known_total is None else known_total
            rows = clips.page(connection, query, limit + 1, total=total)
        shown = rows[:limit]
        following = _write_cursor(shown[-1], total) if len(rows) > limit else None
        return ClipPage(clips=tuple(clip_record(row) for row in shown), next=following, total=total)

    def _best(self, query: ClipQuery, name: str, cursor: str | None, limit: int) -> ClipPage:
        """A page in the order of a measurement."""
        metric = BY_NAME.get(name)
        if metric is None:
            raise InvalidRequest(f"best is {name[:60]!r}, which is not measured: use a name from /api/v1/metrics.", field="best")
        rank = Rank(name, metric.better, metric.target or 0.0)
        if cursor is not None:
            (key, clip_id), _ = _read_cursor(cursor)
            try:
                rank = replace(rank, after=(float(key), clip_id))
            except ValueError:
                raise InvalidRequest("cursor belongs to another order: begin again without it.", field="cursor") from None
        with self._database.read() as connection:
            total = clips.count_measured(connection, query, name)
            rows = clips.ranked(connection, query, rank, limit + 1)
        shown = rows[:limit]
        following = _cursor(repr(shown[-1][0]), shown[-1][1].id, total) if len(rows) > limit else None
        return ClipPage(clips=tuple(clip_record(row) for _, row in shown), next=following, total=total)

    def set_measurements(
        self, owner: str, clip_id: str, measurements: Mapping[str, float], moments: Moments | None = None
    ) -> StoredClip:
        """Keep what was measured anew on a clip. Raises ``NotFound``."""
        with self._database.write() as connection:
            told = None if moments is None else moments.model_dump(mode="json")
            return clip_record(clips.set_measurements(connection, _owned(connection, owner, clip_id), measurements, told))

    def get(self, owner: str, clip_id: str) -> StoredClip:
        """One clip, also from the trash. Raises ``NotFound``."""
        return clip_record(self._row(owner, clip_id))

    def update(
        self,
        owner: str,
        clip_id: str,
        *,
        name: str | None = None,
        favourite: bool | None = None,
        tags: Iterable[str] | None = None,
    ) -> StoredClip:
        """Change what is given, keep the rest. Raises ``NotFound``, ``InvalidRequest``, or ``Conflict`` in the trash."""
        with self._database.write() as connection:
            row = _owned(connection, owner, clip_id)
            if row.deleted_at is not None:
                raise Conflict("the clip is in the trash: take it out before you change it.")
            if name is not None:
                row = replace(row, name=_clean_name(name))
            if favourite is not None:
                row = replace(row, favourite=int(favourite))
            if tags is not None:
                row = replace(row, tags=json.dumps(_clean_tags(tags), ensure_ascii=False))
            clips.update(connection, row)
        return clip_record(row)

    def delete(self, owner: str, clip_id: str) -> StoredClip:
        """Put a clip into the trash, where it stays for 30 days. Raises ``NotFound``."""
        return self._set_deleted(owner, clip_id, now())

    def undelete(self, owner: str, clip_id: str) -> StoredClip:
        """Take a clip out of the trash. Raises ``NotFound``."""
        return self._set_deleted(owner, clip_id, None)

    def _set_deleted(self, owner: str, clip_id: str, deleted_at: str | None) -> StoredClip:
        with self._database.write() as connection:
            row = _owned(connection, owner, clip_id)
            if (row.deleted_at is None) != (deleted_at is None):
                row = replace(row, deleted_at=deleted_at)
                clips.set_deleted(connection, clip_id, deleted_at)
        return clip_record(row)

    def file(self, owner: str, clip_id: str) -> Path:
        """The MP4. Raises ``NotFound``, also when the file was taken from the data folder."""
        path = self._settings.data_dir / self._row(owner, clip_id).path
        if not path.exists():
            raise NotFound("the clip's file is no longer in the data folder: restore it from a backup or make the clip again.")
        return path

    def thumbnail(self, owner: str, clip_id: str) -> Path:
        """A WebP: the poster frame, or the waveform of a clip without picture. Made again when missing. Raises ``NotFound``."""
        row = self._row(owner, clip_id)
        path = self._settings.data_dir / row.thumbnail
        if not path.exists():
            write_whole(path, thumbnail_of(self.file(owner, clip_id)))
        return path

    def restore(self, owner: str, path: Path) -> AnyRequest:
        """The request inside an MP4 of any studio; the images it refers to become the owner's.

        Raises ``InvalidRequest`` for other files, ``TooLarge``.
        """
        if path.stat().st_size > (limit := self._settings.max_upload_bytes):
            raise TooLarge(f"the file is larger than {limit / 1e6:.0f} MB: choose a clip that this studio wrote.", field="file")
        request, images = read_request(path)
        text = request.model_dump_json()
        for reference in request.images():
            if reference not in images:
                field = request.field_of(reference)
                what = f"the {field.replace('_', ' ')}" if field.endswith("_frame") else "an image"
                raise InvalidRequest(f"{path.name} lacks {what} that it was made from: choose another clip.", field="file")
            text = text.replace(reference, self._media.add_image(owner, images[reference]))
        return stored_request(text)

    def family(self, owner: str, clip_id: str) -> Family:
        """The clips that a clip was edited from, itself, and those edited from it. Raises ``NotFound``."""
        with self._database.read() as connection:
            row = _owned(connection, owner, clip_id)
            ancestors: list[ClipRow] = []
            while (parent := ancestors[-1] if ancestors else row).source and len(ancestors) < _MAX_ANCESTORS:
                found = clips.get(connection, owner, str(parent.source))
                if found is None:
                    break
                ancestors.append(found)
            edits = clips.edits_of(connection, owner, clip_id)
            others = clips.edits_of(connection, owner, ancestors[0].id) if ancestors else []
        return Family(
            ancestors=tuple(clip_record(each) for each in reversed(ancestors)),
            clip=clip_record(row),
            edits=tuple(clip_record(each) for each in edits),
            siblings=tuple(clip_record(each) for each in others if each.id != clip_id),
        )

    def strip(self, owner: str, clip_id: str, count: int) -> Path:
        """A WebP of ``count`` frames side by side, kept beside the thumbnail. Raises ``NotFound`` or ``InvalidRequest``."""
        row = self._row(owner, clip_id)
        path = (self._settings.data_dir / row.thumbnail).with_suffix(f".strip-{count}.webp")
        if not path.exists():
            write_whole(path, strip_of(self.file(owner, clip_id), count))
        return path

    def peaks(self, owner: str, clip_id: str, points: int) -> list[float]:
        """How loud the clip is in each of ``points`` equal stretches, 0..1. Raises ``NotFound``."""
        return peaks_of(self.file(owner, clip_id), points)

    def tags(self, owner: str) -> list[str]:
        """Every tag in use, in alphabetical order."""
        with self._database.read() as connection:
            return clips.tags(connection, owner)

    def purge(self) -> None:
        """Forget clips that went to the trash over 30 days ago, then remove files that no clip needs.

        Only for a studio whose workers do not run: a clip being written is nobody's yet.
        """
        oldest = (datetime.now(UTC) - timedelta(days=_TRASH_DAYS)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with self._database.write() as connection:
            clips.remove_deleted_before(connection, oldest)
        with self._database.read() as connection:
            needed = clips.files(connection)
        root = self._settings.data_dir
        for folder in (self._settings.clips_dir, self._settings.thumbnails_dir, self._settings.media_dir):
            for path in folder.rglob("*"):
                is_image = folder == self._settings.media_dir and path.suffix != ".part"
                stands_for = path.with_suffix(".mp4") if path.suffix == SUFFIX else path
                if not is_image and _OUR_FILE.fullmatch(path.name) and str(stands_for.relative_to(root)) not in needed:
                    path.unlink(missing_ok=True)

    def _row(self, owner: str, clip_id: str) -> ClipRow:
        with self._database.read() as connection:
            return _owned(connection, owner, clip_id)


def _owned(connection: Connection, owner: str, clip_id: str) -> ClipRow:
    row = clips.get(connection, owner, clip_id)
    if row is None:
        raise NotFound("there is no such clip in your library: it may have been deleted for good.")
    return row


def _clean_name(name: str) -> str:
    cleaned = _INVISIBLE.sub("", name).strip()
    if not 1 <= len(cleaned) <= _MAX_NAME_CHARACTERS:
        raise InvalidRequest(f"name must have 1 to {_MAX_NAME_CHARACTERS} visible characters: choose another.", field="name")
    return cleaned


def _clean_tags(tags: Iterable[str]) -> list[str]:
    cleaned = sorted({_INVISIBLE.sub("", tag).strip() for tag in tags} - {""})
    if len(cleaned) > _MAX_TAGS:
        raise InvalidRequest(f"tags has {len(cleaned)} entries: use at most {_MAX_TAGS}.", field="tags")
    if any(len(tag) > _MAX_TAG_CHARACTERS for tag in cleaned):
        raise InvalidRequest(f"tags holds one of over {_MAX_TAG_CHARACTERS} characters: shorten it.", field="tags")
    return cleaned


def _write_cursor(last: ClipRow, total: int) -> str:
    return _cursor(last.created_at, last.id, total)


def _cursor(place: str, clip_id: str, total: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([place, clip_id, total]).encode()).decode()


def _read_cursor(cursor: str) -> tuple[tuple[str, str], int]:
    try:
        created_at, clip_id, total = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        last = (str(created_at), str(clip_id))
        "".join(last).encode("ascii")
        return last, int(total)
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error):
        raise InvalidRequest("cursor is not one that a page gave: begin again without it.", field="cursor") from None
