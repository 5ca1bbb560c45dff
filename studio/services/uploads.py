"""Video and sound files that people have, made into clips of their libraries."""

from __future__ import annotations

import hashlib
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.clip_io import FILE_SAMPLE_RATE
from pipelines.contract import Clip, ImportRequest, Modality, TooLarge, parse_request
from pipelines.registry import ModelCatalogue, ModelSpec
from pipelines.version import code_version
from studio.importing.apart import Imported, given_up_by_its_sender, import_apart
from studio.importing.order import Order, Room
from studio.services.present import clip_record
from studio.services.records import Record, StoredClip, now
from studio.settings import Settings
from studio.storage import clips
from studio.storage.clips import ClipRow
from studio.storage.database import Database

# Each is a process that keeps some cores busy; more at a time would only starve the workers.
_AT_A_TIME = 2
# Who waits keeps a thread of the web process; there are some 40, and the rest of the page needs them.
_MOST_OPEN = 12
_MOST_OF_A_GUEST = 3
_LOOK_S = 0.5
_NAMELESS = "a clip from a file"
_NAME_CHARACTERS = 60
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


@dataclass(frozen=True)
class Upload:
    """A file as it came: where it lies, what its sender calls it, what it shows and sounds like, and for which model."""

    path: Path
    name: str
    prompt: str | None = None
    model: str | None = None


class ImportedClip(Record):
    """A clip that was made of somebody's file."""

    clip: StoredClip
    notices: tuple[str, ...]
    """What was changed to make it, one sentence each."""


class UploadService:
    """Takes files in. Probing and decoding happen in a child process (``studio.importing``), never here."""

    def __init__(self, database: Database, catalogue: ModelCatalogue, settings: Settings) -> None:
        self._database = database
        self._catalogue = catalogue
        self._settings = settings
        self._line = _Line(settings.local_owner)

    def add(self, owner: str, upload: Upload, given_up: threading.Event | None = None) -> ImportedClip:
        """The file as a clip of the owner's library; the file itself stays where it is and is not needed any more.

        Raises ``InvalidRequest`` for what cannot become a clip, ``TooLarge`` for large files and for too many at once,
        ``ModelNotFound``, ``StorageFull``, or ``Conflict`` where ``given_up`` was set before the clip was there.
        """
        given_up = given_up or threading.Event()
        clip_id = uuid.uuid4().hex
        place = Path(hashlib.sha256(owner.encode()).hexdigest()[:16]) / clip_id
        target = (self._settings.clips_dir / place).with_suffix(".mp4")
        began = time.monotonic()
        try:
            with self._line.place(owner, given_up):
                imported = convert(upload, target, self._catalogue, self._settings, given_up)
            if given_up.is_set():
                raise given_up_by_its_sender()
            row = self._row(owner, clip_id, _clip(imported.request, target, time.monotonic() - began))
            with self._database.write() as connection:
                clips.insert(connection, row)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return ImportedClip(clip=clip_record(row), notices=imported.notices)

    def _row(self, owner: str, clip_id: str, clip: Clip) -> ClipRow:
        title = Path(clip.request.file_name).stem if isinstance(clip.request, ImportRequest) else clip.request.prompt
        path = clip.path.relative_to(self._settings.data_dir)
        return ClipRow(
            id=clip_id,
            owner=owner,
            job_id=None,
            path=str(path),
            thumbnail=str(Path("thumbnails", *path.parts[1:]).with_suffix(".webp")),
            name=title if len(title) <= _NAME_CHARACTERS else title[: _NAME_CHARACTERS - 1].rstrip() + "…",
            prompt=clip.request.prompt,
            tags="[]",
            favourite=0,
            model=clip.request.model,
            modality=clip.request.modality,
            size_bytes=clip.size_bytes,
            clip=clip.model_dump_json(exclude={"path"}),
            created_at=now(),
            deleted_at=None,
        )


class _Line:
    """Who may have a file opened now: few at a time, not many more waiting, and none of a guest's in everybody's way."""

    def __init__(self, local_owner: str) -> None:
        self._local_owner = local_owner
        self._places = threading.BoundedSemaphore(_AT_A_TIME)
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    @contextmanager
    def place(self, owner: str, given_up: threading.Event) -> Iterator[None]:
        """Wait for a place and keep it. Raises ``TooLarge`` where too many wait, ``Conflict`` once ``given_up`` is set."""
        most = _MOST_OPEN if owner == self._local_owner else _MOST_OF_A_GUEST
        with self._lock:
            if self._open[owner] >= most or self._open.total() >= _MOST_OPEN:
                raise TooLarge("video must wait: too many files are being opened; try again in a minute.", field="video")
            self._open[owner] += 1
        try:
            while not self._places.acquire(timeout=_LOOK_S):
                if given_up.is_set():
                    raise given_up_by_its_sender()
            try:
                yield
            finally:
                self._places.release()
        finally:
            with self._lock:
                self._open -= Counter([owner])


def convert(
    upload: Upload, target: Path, catalogue: ModelCatalogue, settings: Settings, given_up: threading.Event | None = None
) -> Imported:
    """The file as a clip at ``target``, which belongs to nobody's library. Raises as ``UploadService.add``."""
    size_bytes, limit = upload.path.stat().st_size, settings.max_video_bytes
    if size_bytes > limit:
        raise TooLarge(f"video is {size_bytes / 1e6:.0f} MB; the limit is {limit / 1e6:.0f} MB: shorten it first.", field="video")
    name = _INVISIBLE.sub("", Path(upload.name.replace("\\", "/")).name).strip()[-255:]
    asked = {
        "kind": "import",
        "prompt": (upload.prompt or "").strip() or re.sub(r"[\s_]+", " ", Path(name).stem).strip() or _NAMELESS,
        "model": upload.model or ImportRequest.model_fields["model"].default,
        "file_name": name or _NAMELESS,
        "file_sha256": _hash(upload.path),
    }
    request = parse_request(asked)
    order = Order(
        source=str(upload.path.absolute()),
        target=str(target.absolute()),
        request=request.model_dump(mode="json"),
        code_version=code_version(),
        room=_room(catalogue.get(request.model)),
        max_seconds=settings.max_video_s,
    )
    return import_apart(order, given_up)


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _room(spec: ModelSpec) -> Room:
    own = spec.defaults
    return Room(spec.pixel_multiple, spec.min_side, spec.max_side, spec.frame_rates, own.height, own.width, own.frame_rate)


def _clip(request: ImportRequest, path: Path, spent_s: float) -> Clip:
    assert request.height and request.width and request.num_frames and request.frame_rate
    has_audio = request.modality != Modality.VIDEO
    return Clip(
        path=path,
        request=request,
        model_sha256="",
        code_version=code_version(),
        height=request.height,
        width=request.width,
        num_frames=request.num_frames,
        frame_rate=request.frame_rate,
        duration_s=request.num_frames / request.frame_rate,
        has_video=request.modality != Modality.AUDIO,
        has_audio=has_audio,
        sample_rate=FILE_SAMPLE_RATE if has_audio else None,
        size_bytes=path.stat().st_size,
        stage_seconds={"import": round(spent_s, 4)},
        measurements={},
    )
