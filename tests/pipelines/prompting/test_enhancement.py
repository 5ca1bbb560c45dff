"""What enhancing promises: nothing written is lost, the same every time, nothing twice, only words that the model knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipelines.contract import MAX_PROMPT_CHARACTERS, InvalidRequest
from pipelines.prompting.enhancement import Model, Strategy, enhance, phrases
from pipelines.prompting.kinds import EntityKind
from pipelines.prompting.reading import analyse
from pipelines.prompting.timeline import timeline_of


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("model", ["pocket", "ltx-2"])
def test_what_enhancing_promises(
    labelled: list[dict[str, Any]], models: dict[str, Model], model: str, strategy: Strategy
) -> None:
    for row in labelled:
        prompt = row["prompt"]
        once = enhance(prompt, strategy, models[model])
        assert enhance(prompt, strategy, models[model]) == once
        assert enhance(once.prompt, strategy, models[model]).prompt == once.prompt, once.prompt
        pieces = once.difference
        assert "".join(piece.text for piece in pieces if piece.change != "added") == prompt
        assert "".join(piece.text for piece in pieces if piece.change != "removed") == once.prompt
        assert all(entity.text in once.prompt for entity in analyse(prompt).of(EntityKind.SPEECH))
        assert len(once.prompt) <= MAX_PROMPT_CHARACTERS
        assert (once.prompt != prompt) or once.note
        if model == "ltx-2":
            assert all(piece.change != "removed" for piece in pieces)


def test_pocket_is_told_only_words_that_it_knows(labelled: list[dict[str, Any]], models: dict[str, Model]) -> None:
    vocabulary = models["pocket"].vocabulary
    assert vocabulary
    for row in labelled:
        for strategy in Strategy:
            after = enhance(row["prompt"], strategy, models["pocket"])
            added = " ".join(piece.text for piece in after.difference if piece.change == "added")
            assert not vocabulary.unknown(added), (row["prompt"], added)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("une balle rouge qui rebondit sur l'herbe", "a red ball bouncing on grass"),
        ("zwei Katzen und ein blauer Würfel tanzen in der Wüste", "a blue cube dancing in the desert"),
        ("una estrella amarilla sube de noche", "a yellow star rising at night"),
        ("赤いボールが草の上で跳ねる", "a red ball bouncing on grass"),
        ("蓝色的球在海边跳舞", "a blue ball dancing by the sea"),
        ("un cubo azul en la nieve: «¡Hola!»", 'a blue cube in the snow, saying "¡Hola!"'),
    ],
)
def test_other_languages_reach_the_embedded_model(models: dict[str, Model], prompt: str, said: str) -> None:
    assert enhance(prompt, Strategy.DETAIL, models["pocket"]).prompt.startswith(said.partition(",")[0])
    assert said.rpartition('"')[0] in enhance(prompt, Strategy.SOUND, models["pocket"]).prompt


def test_a_language_that_pocket_cannot_reach_is_left_alone(models: dict[str, Model]) -> None:
    after = enhance("un dragón vuela", Strategy.DETAIL, models["pocket"])
    assert after.prompt == "un dragón vuela" and after.note and "knows none of these words" in after.note


def test_not_always_the_same_word(labelled: list[dict[str, Any]], models: dict[str, Model]) -> None:
    tails = {enhance(row["prompt"], Strategy.CINEMATIC, models["ltx-2"]).prompt[len(row["prompt"]) :] for row in labelled}
    assert len(tails) > 40


def test_every_phrase_fills_its_slot() -> None:
    for strategy in ("detail", "cinematic", "sound"):
        for slot in phrases()[strategy]:
            for phrase in (phrase for choices in slot["say"].values() for phrase in choices):
                assert slot["slot"] == "when" or analyse(phrase).of(EntityKind(slot["slot"])), phrase


def test_the_limit_holds(models: dict[str, Model]) -> None:
    for length in range(MAX_PROMPT_CHARACTERS - 400, MAX_PROMPT_CHARACTERS + 1, 20):
        prompt = ("a ball " * 600)[:length].strip()
        for strategy in Strategy:
            once = enhance(prompt, strategy, models["ltx-2"])
            assert len(once.prompt) <= MAX_PROMPT_CHARACTERS
            assert enhance(once.prompt, strategy, models["ltx-2"]).prompt == once.prompt


def test_shots_share_the_clip_and_keep_what_must_stay_whole(models: dict[str, Model]) -> None:
    prompt = 'A man enters. He says "Wait. Stop." A big red. fox runs.'
    after = enhance(prompt, Strategy.STRUCTURE, Model("Any", None, 6.0), keep=("big red. fox",))
    timeline = timeline_of(after.prompt, 6.0)
    assert timeline and [segment.text for segment in timeline.segments] == [
        "A man enters.",
        'He says "Wait. Stop." A big red. fox runs.',
    ]
    assert timeline.segments[0].start_s == 0 and timeline.segments[-1].end_s == 6.0
    alone = timeline_of(enhance("a fox runs", Strategy.STRUCTURE, Model("Any", None, 3.0)).prompt, 3.0)
    assert alone and len(alone.segments) > 1 and alone.segments[0].text == "a fox runs"


def test_pocket_gets_a_shot_of_each_sentence_and_no_more(models: dict[str, Model]) -> None:
    two = enhance("A red ball rises. It falls.", Strategy.STRUCTURE, replace(models["pocket"], duration_s=2.0))
    assert two.prompt == "[0.0-1.0 s] A red ball rises. [1.0-2.0 s] It falls." and two.note is None
    one = enhance("a red ball rises", Strategy.STRUCTURE, models["pocket"])
    assert one.prompt == "a red ball rises" and one.note and "a shot of each sentence" in one.note


def test_a_prompt_in_foreign_words_keeps_its_triggers(models: dict[str, Model]) -> None:
    after = enhance("une balle rouge zxq-style", Strategy.SOUND, models["pocket"], keep=("zxq-style", "absent"))
    assert "zxq-style" in after.prompt and "absent" not in after.prompt


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_prompt_is_refused(models: dict[str, Model], prompt: str) -> None:
    with pytest.raises(InvalidRequest, match="prompt is empty"):
        enhance(prompt, Strategy.DETAIL, models["ltx-2"])
