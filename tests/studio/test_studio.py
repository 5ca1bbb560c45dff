"""Opening a studio, its health, and its settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.contract import Conflict, ModelNotFound
from studio.settings import Settings
from studio.studio import Studio
from tests.studio.rooms import OWNER, fast_settings, wait_for


def test_health_tells_when_it_is_ready(busy, small):
    assert busy.health().live
    wait_for(lambda: busy.health().ready)
    health = busy.health()
    assert (health.problems, health.queued, health.running, health.paused) == ((), 0, 0, False)
    assert [(worker.device, worker.state) for worker in health.workers] == [("auto", "idle")]
    job = busy.jobs.submit(OWNER, small("slowly", num_inference_steps=50))
    wait_for(lambda: busy.health().workers[0].state == "busy" and busy.health().running == 1)
    assert busy.health().ready
    busy.jobs.cancel(OWNER, job.id)


def test_a_stopped_studio_is_not_alive(settings):
    studio = Studio.open(settings)
    assert not studio.health().live
    studio.stop()


def test_one_folder_is_one_studio(settings):
    studio = Studio.open(settings)
    with pytest.raises(Conflict, match="another studio is using"):
        Studio.open(settings)
    studio.stop()
    Studio.open(settings).stop()


def test_a_model_folder_that_is_none_gives_the_data_folder_back(tmp_path):
    with pytest.raises(ModelNotFound, match="not a diffusers model folder"):
        Studio.open(fast_settings(tmp_path, models={"mine": tmp_path / "nothing"}))
    Studio.open(fast_settings(tmp_path)).stop()


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("STUDIO_PORT", "9999")
    monkeypatch.setenv("STUDIO_DATA_DIR", "/somewhere")
    monkeypatch.setenv("STUDIO_MODELS", '{"mine": "/models/mine"}')
    settings = Settings()
    assert (settings.port, settings.database_path) == (9999, Path("/somewhere/studio.db"))
    assert settings.models == {"mine": Path("/models/mine")}


@pytest.mark.parametrize("fault", [{"port": -1}, {"workers": -1}, {"lease_s": 0}, {"max_attempts": 0}, {"port": "x"}])
def test_impossible_settings_are_refused(fault):
    with pytest.raises(ValidationError):
        Settings(**fault)


def test_every_setting_is_explained():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
