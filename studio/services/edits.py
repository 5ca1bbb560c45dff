"""Edits of a person's clips: completed from what the source was made with, judged before they are queued."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.contract import EditRequest, InvalidRequest, NotFound
from pipelines.editing.plan import EditPlan, Shape
from pipelines.editing.request import edit_request, planned
from pipelines.registry import ModelCatalogue
from studio.services.jobs import JobService
from studio.services.library import LibraryService
from studio.services.records import Job, StoredClip


class EditService:
    """What can be done to the clips of a library; the work itself is a job like any other."""

    def __init__(self, library: LibraryService, jobs: JobService, catalogue: ModelCatalogue) -> None:
        self._library = library
        self._jobs = jobs
        self._catalogue = catalogue

    def plan(self, owner: str, asked: Mapping[str, Any]) -> tuple[EditRequest, EditPlan]:
        """The complete request of an edit and what becomes of it; nothing is queued.

        ``asked`` has ``source``, ``edit`` and any settings. Raises ``InvalidRequest`` or ``ModelNotFound``.
        """
        reference = str(asked.get("source") or "")
        source = self._clip(owner, reference, "source")
        request = edit_request(asked, self._painted(owner, source).request, self._catalogue)
        others = [self._clip(owner, other, "other") for other in request.edit.sources()]
        return planned(request, [_shape(clip) for clip in (source, *others)], self._catalogue)

    def submit(self, owner: str, asked: Mapping[str, Any], *, idempotency_key: str | None = None) -> Job:
        """Queue an edit. Raises as ``plan`` and ``JobService.submit`` do."""
        request, _ = self.plan(owner, asked)
        return self._jobs.submit(owner, request, idempotency_key=idempotency_key)

    def _painted(self, owner: str, clip: StoredClip) -> StoredClip:
        """The clip whose model made the picture: of one dubbed by a model for sound alone, what was dubbed.

        Else nothing but dubs could be made of it without naming a model.
        """
        known = {spec.id: spec for spec in self._catalogue}
        while isinstance(clip.request, EditRequest) and clip.request.model in known and known[clip.request.model].is_for_sound:
            try:
                clip = self._library.get(owner, clip.request.source.removeprefix("clip:"))
            except NotFound:  # emptied from the trash: its model is not known any more
                break
        return clip

    def _clip(self, owner: str, reference: str, field: str) -> StoredClip:
        try:
            return self._library.get(owner, reference.removeprefix("clip:"))
        except NotFound:
            raise InvalidRequest(f"{field} is not a clip of your library; give 'clip:' and the id of one.", field=field) from None


def _shape(clip: StoredClip) -> Shape:
    return Shape(clip.height, clip.width, clip.num_frames, clip.frame_rate, clip.has_video, clip.has_audio)
