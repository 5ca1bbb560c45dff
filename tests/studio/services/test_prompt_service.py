"""Prompts written and translated by models in a process of their own: what comes back, what is refused, and when it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipelines.contract import Conflict, InvalidRequest, ModelNotFound
from pipelines.prompting.enhancement import Model, Strategy
from pipelines.prompting.protection import protected
from pipelines.prompting.writing import _system
from pipelines.registry import ModelCatalogue
from studio.services.prompts import PromptService, Wish
from studio.settings import Settings
from studio.web import create_app
from tests.studio.rooms import wait_for
from tests.twins import instruction_twin, marian_twin

PROMPT = 'a red fox says "Hi there"'
ANSWERS = {
    Strategy.DETAIL: "Enhanced prompt:\nAt dusk a red fox says “Hi there” in the snow.",
    Strategy.SOUND: "At dusk a red fox howls.",
    Strategy.STRUCTURE: '[0-1 s] A red fox enters.\n[1-2 s] It says "Hi there".',
}
PAIRS = [("une balle rouge", "a red ball"), ("un renard roux dit", "a red fox says")]
CATALOGUE = ModelCatalogue.with_folders({})


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings that name an instruction model and a translator."""
    spec = CATALOGUE.get("ltx-2")
    model = Model(spec.title, spec.vocabulary, 4.0)
    talks = [(_system(each, model, protected(PROMPT, ())), f"user prompt: {PROMPT}", said) for each, said in ANSWERS.items()]
    folder = tmp_path_factory.mktemp("language")
    return {
        "enhancer": str(instruction_twin(folder / "fox-it", talks)),
        "translator": str(marian_twin(folder / "fr-en", PAIRS)),
        "language_device": "cpu",
    }


@pytest.fixture
def serve() -> Iterator[Callable[..., PromptService]]:
    open_services: list[PromptService] = []

    def made(**settings: Any) -> PromptService:
        open_services.append(PromptService(CATALOGUE, Settings(**settings)))
        return open_services[-1]

    yield made
    for service in open_services:
        service.close()


def wish(prompt: str = PROMPT, **more: Any) -> Wish:
    return Wish(prompt, **({"model": "ltx-2", "duration_s": 4.0} | more))


def test_an_instruction_model_and_a_translator_work_in_one_process(
    serve: Callable[..., PromptService], named: dict[str, str]
) -> None:
    service = serve(**named)
    assert (service.enhancer, service.translator) == ("fox-it", "fr-en") and service._process.pid is None
    detail = service.enhance(wish(), Strategy.DETAIL)
    assert detail.prompt == 'At dusk a red fox says "Hi there" in the snow.' and detail.engine == "model"
    assert [piece.text for piece in detail.difference if piece.change == "added"] == ["At dusk ", " in the snow."]
    pid = service._process.pid
    shots = service.enhance(wish(), Strategy.STRUCTURE)
    assert shots.prompt == '[0.0-2.0 s] A red fox enters. [2.0-4.0 s] It says "Hi there".'
    with pytest.raises(InvalidRequest, match="left out what is said"):
        service.enhance(wish(), Strategy.SOUND)

    french = service.translate(wish("une balle rouge"))
    assert (french.prompt, french.language, french.note) == ("a red ball", "fr", None)
    assert service.translate(wish("a red ball")).note == "The prompt is in English already."
    through = service.enhance(wish('un renard roux dit "Hi there"'), Strategy.DETAIL)
    assert through.original == 'un renard roux dit "Hi there"' and through.language == "fr"
    assert through.prompt == 'At dusk a red fox says "Hi there" in the snow.'
    assert "".join(piece.text for piece in through.difference if piece.change != "added") == through.original

    pocket = service.enhance(Wish("une balle rouge"), Strategy.SOUND)  # a model of certain words is written for by the rules
    assert pocket.engine == "rules" and pocket.prompt.startswith("a red ball, ") and pocket.original == "une balle rouge"
    rules = service.enhance(wish(engine="rules"), Strategy.DETAIL)
    assert rules.engine == "rules" and rules.prompt.startswith(PROMPT)
    assert service._process.pid == pid

    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: service._process._child.process.poll() is not None)
    assert service.enhance(wish(), Strategy.DETAIL) == detail and service._process.pid != pid


def test_without_models_there_are_rules(serve: Callable[..., PromptService]) -> None:
    service = serve()
    assert service.enhancer is None and service.enhance(wish(), Strategy.DETAIL).engine == "rules"
    with pytest.raises(InvalidRequest, match="no instruction model is set"):
        service.enhance(wish(engine="model"), Strategy.DETAIL)
    with pytest.raises(InvalidRequest, match="translator is not set"):
        service.translate(wish("une balle rouge"))
    assert service._process.pid is None


def test_a_model_that_cannot_be_used_is_one_sentence(serve: Callable[..., PromptService], named: dict[str, str]) -> None:
    service = serve(enhancer="nobody/has-this", translator=named["enhancer"])
    with pytest.raises(ModelNotFound, match="enhancer nobody/has-this is not on this machine"):
        service.enhance(wish(), Strategy.DETAIL)
    with pytest.raises(ModelNotFound, match="translator fox-it is of the kind 'llama'"):
        service.translate(wish("une balle rouge"))
    assert service.enhance(wish(engine="rules"), Strategy.DETAIL).engine == "rules"


def test_the_memory_comes_back_after_a_while(serve: Callable[..., PromptService], named: dict[str, str]) -> None:
    service = serve(**named, language_idle_s=0.3)
    service.translate(wish("une balle rouge"))
    wait_for(lambda: service._process.pid is None)


def test_few_wait(serve: Callable[..., PromptService], named: dict[str, str]) -> None:
    service = serve(**named)
    for _ in range(4):
        assert service._process._places.acquire(blocking=False)
    with pytest.raises(Conflict, match="enhancer has its hands full"):
        service.enhance(wish(), Strategy.DETAIL)


def test_over_http(named: dict[str, str], tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, workers=0, **named)
    with TestClient(create_app(settings), base_url=settings.address) as client:
        assert client.get("/api/v1/prompts/engines").json() == {"enhancer": "fox-it", "translator": "fr-en"}
        body = {"prompt": PROMPT, "strategy": "detail", "model": "ltx-2", "duration_s": 4.0}
        answer = client.post("/api/v1/prompts/enhance", json=body).json()
        assert answer["engine"] == "model" and answer["prompt"].startswith("At dusk a red fox")
        assert client.post("/api/v1/prompts/enhance", json={**body, "engine": "rules"}).json()["engine"] == "rules"
        french = client.post("/api/v1/prompts/translate", json={"prompt": "une balle rouge"}).json()
        assert french["prompt"] == "a red ball" and french["original"] == "une balle rouge"
        refused = client.post("/api/v1/prompts/translate", json={"prompt": "ein Ball", "language": "de"})
        assert refused.status_code == 422 and refused.json()["error"]["field"] == "language"
