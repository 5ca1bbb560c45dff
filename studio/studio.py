"""The studio: one object that holds the services; everything else is theirs."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from pipelines.contract import StudioError
from studio.services.board import Board
from studio.services.edits import EditService
from studio.services.exports import ExportService
from studio.services.forecasts import ForecastService
from studio.services.grids import GridService, GridSources
from studio.services.installs import InstallService
from studio.services.jobs import JobService
from studio.services.library import LibraryService
from studio.services.loras import LoraService
from studio.services.media import MediaService
from studio.services.models import ModelService
from studio.services.project_exports import ProjectExports
from studio.services.project_files import ProjectFiles
from studio.services.projects import ProjectService
from studio.services.prompts import PromptService
from studio.services.quality import QualityService
from studio.services.records import Health
from studio.services.removals import RemovalService
from studio.services.uploads import UploadService
from studio.services.verifications import VerificationService
from studio.settings import Settings
from studio.storage.database import Database
from studio.workers.desk import Desk
from studio.workers.local import WorkerPool


class Studio:
    """One data folder and everything that works on it."""

    def __init__(self, settings: Settings, database: Database) -> None:
        board = Board()
        self.settings = settings
        self.catalogue = settings.catalogue
        self.media = MediaService(database, settings)
        self.library = LibraryService(database, self.media, settings)
        self.prompts = PromptService(self.catalogue, settings)
        self.quality = QualityService(self.library, settings.text_image_model)
        self.loras = LoraService(database, self.catalogue, settings)
        self.exports = ExportService(self.library)
        self.projects = ProjectService(database)
        self.project_files = ProjectFiles(database, self.media, settings)
        self.project_exports = ProjectExports(self.projects, self.project_files, self.library)
        self.jobs = JobService(database, board, catalogue=self.catalogue, media=self.media, settings=settings)
        self.edits = EditService(self.library, self.jobs, self.catalogue)
        self.grids = GridService(GridSources(self.jobs, self.library, self.loras, self.catalogue, database))
        self.uploads = UploadService(database, self.catalogue, settings)
        self._database = database
        self._desk = Desk(database, board, settings)
        self._workers = WorkerPool(settings, self._desk, board)
        self.forecasts = ForecastService(database, self.catalogue, settings, self._workers.pids)
        self.models = ModelService(database, self.catalogue, self.forecasts)
        self.installs = InstallService(self.catalogue)
        self.verifications = VerificationService(database, self.catalogue)
        self.removals = RemovalService(database, self.catalogue, self.installs, self.verifications)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """A studio in ``settings.data_dir``; nothing runs before ``start``.

        Raises ``Conflict`` (another studio, a newer database), ``StorageFull`` or ``ModelNotFound``.
        """
        database = Database.open(settings.data_dir)
        try:
            return cls(settings, database)
        except BaseException:
            database.close()
            raise

    def start(self) -> None:
        """Clean up after the last run and set the workers to work."""
        self._desk.recover()
        self.library.purge()
        self.projects.purge()
        self._workers.start()

    def announce(self) -> None:
        """Tell others who want this data folder where the studio answers."""
        self._database.announce(self.settings.address)

    def stop(self) -> None:
        """Let running jobs finish for ``drain_s``, put the others back into the queue, close the database."""
        self.prompts.close()
        self.installs.close()
        self.verifications.close()
        self._workers.stop()
        self._database.close()

    def health(self) -> Health:
        """Whether the studio lives and is ready for work, and what stands in the way."""
        problems = self._workers.problems()
        queued = running = 0
        paused = database_answers = False
        try:
            queued, running = self.jobs.counts()
            paused = self.jobs.is_paused
            database_answers = True
        except StudioError as error:
            problems = (*problems, error.message)
        workers = self._workers.states()
        ready = database_answers and not problems and (not workers or any(worker.state in ("idle", "busy") for worker in workers))
        live = self._workers.is_alive
        return Health(live=live, ready=ready, problems=problems, queued=queued, running=running, paused=paused, workers=workers)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
