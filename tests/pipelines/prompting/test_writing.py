"""Prompts written by an instruction model: what may come of an answer, what is put right, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipelines.contract import MAX_PROMPT_CHARACTERS, InvalidRequest, ModelNotFound, OutOfMemory
from pipelines.prompting.cleaning import cleaned
from pipelines.prompting.enhancement import Model, Strategy
from pipelines.prompting.exchange import Written
from pipelines.prompting.instruction_model import InstructionModel
from pipelines.prompting.protection import protected, restored
from pipelines.prompting.timeline import timeline_of
from pipelines.prompting.writing import rewritten
from tests.twins import CHAT, gemma_twin, instruction_twin

ANY = Model("LTX-2", None, 4.0)


@dataclass
class Says:
    """A writer that answers with what it was made with, and remembers what it was told."""

    answer: str
    is_whole: bool = True
    told: list[str] = field(default_factory=list)

    def write(self, system: str, user: str) -> Written:
        self.told += [system, user]
        return Written(self.answer, self.is_whole)


def said(prompt: str, answer: str, strategy: Strategy = Strategy.DETAIL, keep: tuple[str, ...] = ()) -> str:
    return rewritten(prompt, strategy, ANY, Says(answer), keep).prompt


@pytest.mark.parametrize(
    ("answer", "prompt"),
    [
        ("A red fox runs.", "A red fox runs."),
        ('  "A red fox runs."\n', "A red fox runs."),
        ('"Run," she says, and "go"', '"Run," she says, and "go"'),
        ("Sure! Here is the enhanced prompt:\n\nA red fox runs.", "A red fox runs."),
        ("**Enhanced prompt:** A red fox runs.", "A red fox runs."),
        ("### Prompt:\nA *red* fox runs.\n\nNote: I added colour.", "A red fox runs."),
        ("<think>What do they want?</think>A red fox runs.", "A red fox runs."),
        ("<think>What do they want? A red fox", ""),
        ("```text\nA red fox runs.\n```", "A red fox runs."),
        ("- A red fox\n- Snow falls.\n* Night", "A red fox. Snow falls. Night"),
        ("1. A red fox\n2. Snow", "A red fox. Snow"),
        ("Here is a man: he waves.", "Here is a man: he waves."),
        ("A fox runs. A fox runs. A fox runs. Snow.", "A fox runs. Snow."),
        ("A fox\u200b runs\u0007.", "A fox runs."),
        ("  \n ", ""),
    ],
)
def test_an_answer_becomes_a_prompt(answer: str, prompt: str) -> None:
    assert cleaned(answer) == prompt


def test_an_answer_without_an_end_is_cut_at_a_sentence() -> None:
    assert cleaned("A fox runs. It sees a", is_whole=False) == "A fox runs."
    assert cleaned("A fox runs and it", is_whole=False) == "A fox runs and it"
    long = cleaned("A fox runs in the snow. " * 300 + "x" * 50)
    assert len(long) <= MAX_PROMPT_CHARACTERS
    different = " ".join(f"Fox {n} runs." for n in range(600))
    assert len(cleaned(different)) <= MAX_PROMPT_CHARACTERS and cleaned(different).endswith("runs.")


@pytest.mark.parametrize(
    ("answer", "prompt"),
    [
        ('At dusk a fox says "Hi there" in snow.', 'At dusk a fox says "Hi there" in snow.'),
        ("At dusk a fox says “hi, there!” in snow.", 'At dusk a fox says "Hi there" in snow.'),
        ("At dusk a fox says 'Hi there' in snow.", 'At dusk a fox says "Hi there" in snow.'),
        ("At dusk a fox says hi  there in snow.", 'At dusk a fox says "Hi there" in snow.'),
        ('At dusk a fox says "Good evening" in snow.', 'At dusk a fox says "Hi there" in snow.'),
    ],
)
def test_speech_comes_through_letter_by_letter(answer: str, prompt: str) -> None:
    assert said('a fox says "Hi there"', answer) == prompt


def test_two_speeches_keep_their_places() -> None:
    prompt = 'a fox says "One" and a cat says "Two."'
    assert said(prompt, "A cat says “Two”, then a fox says “one”.") == 'A cat says "Two.", then a fox says "One".'


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("At dusk a fox speaks.", "left out what is said"),
        ('A fox says "Hi there" and a cat says "No".', "made up speech"),
        ('A fox says "Hi there', "without an end"),
        ("", "wrote nothing"),
    ],
)
def test_speech_that_is_lost_or_made_up_is_refused(answer: str, fault: str) -> None:
    with pytest.raises(InvalidRequest, match=fault) as told:
        said('a fox says "Hi there"', answer)
    assert told.value.field == "engine" and told.value.message.startswith("engine: ") and "use the rules" in told.value.message


def test_trigger_words_are_kept_put_right_or_put_back() -> None:
    keep = ("zxq Style", "absent")
    assert said("a fox, zxq Style", "A fox at night, ZXQ style.", keep=keep) == "A fox at night, zxq Style."
    assert said("a fox, zxq Style", "A fox at night.", keep=keep) == "A fox at night. zxq Style"
    writer = Says("A fox, zxq Style")
    rewritten("a fox, zxq Style", Strategy.DETAIL, ANY, writer, keep)
    assert "Copy these words exactly as they are: zxq Style." in writer.told[0]


def test_times_of_the_prompt_stay_and_made_up_ones_go() -> None:
    timed = "[0-1s] a ball rises [1-2s] it falls"
    answer = "[0.0-1.0 s] A ball rises at dusk. [1.0-2.0 s] It falls."
    assert said(timed, answer) == "[0-1s] A ball rises at dusk. [1-2s] It falls."
    with pytest.raises(InvalidRequest, match="changed the times"):
        said(timed, "A ball rises and falls.")
    assert said("a ball rises", "[0-1 s] A ball rises. [1-2 s] It falls.") == "A ball rises. It falls."


def test_shots_fill_the_clip() -> None:
    shots = said("a ball rises", "[0-1 s] A ball rises.\n[1-3 s] It falls.", Strategy.STRUCTURE)
    assert shots == "[0.0-1.3 s] A ball rises. [1.3-4.0 s] It falls."
    assert timeline_of(shots, 4.0) is not None
    assert said(shots, "anything", Strategy.STRUCTURE) == shots
    for answer, fault in (
        ("A ball rises.", "no times"),
        ("[2-1 s] a ball", "contradict"),
        ("[0-9 s] a [9-9.1 s] b", "too short"),
    ):
        with pytest.raises(InvalidRequest, match=fault):
            said("a ball rises", answer, Strategy.STRUCTURE)


def test_the_difference_is_exact_and_the_original_is_kept() -> None:
    found = rewritten("a red fox runs", Strategy.CINEMATIC, ANY, Says("At dusk a red fox runs, close-up."))
    assert found.engine == "model" and found.original == "a red fox runs" and found.note is None
    pieces = found.difference
    assert "".join(piece.text for piece in pieces if piece.change != "added") == found.original
    assert "".join(piece.text for piece in pieces if piece.change != "removed") == found.prompt
    same = rewritten("a red fox runs", Strategy.DETAIL, ANY, Says("a red fox runs"))
    assert same.prompt == same.original and same.note


def test_a_model_with_a_vocabulary_is_told_only_words_that_it_knows(models: dict[str, Model]) -> None:
    pocket = models["pocket"]
    writer = Says("a red ball bouncing on grass at night")
    assert rewritten("a red ball", Strategy.DETAIL, pocket, writer).prompt == "a red ball bouncing on grass at night"
    assert "certain words only" in writer.told[0] and "bouncing" in writer.told[0]
    with pytest.raises(InvalidRequest, match=r"words that .* does not know \(.*cinema"):
        rewritten("a red ball", Strategy.DETAIL, pocket, Says("a red ball in a cinema"))
    dragon = rewritten("a dragon, a red ball", Strategy.DETAIL, pocket, Says("a dragon, a red ball at night"))
    assert dragon.prompt.endswith("at night")  # what the person wrote is theirs


def test_nothing_protected_is_nothing_changed() -> None:
    assert restored("A fox runs.", protected("a fox", ())) == "A fox runs."


TALKS = [("Say more.", "user prompt: a red fox", "At dusk a red fox runs."), ("Say where.", "user prompt: a red fox", "Snow.")]


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return instruction_twin(tmp_path_factory.mktemp("instruct"), TALKS)


def test_a_real_instruction_model_answers_by_its_instructions(twin: Path) -> None:
    model = InstructionModel.load(str(twin), "cpu")
    for system, user, answer in TALKS:
        first = model.write(system, user, tokens=40, seconds=30)
        assert first == Written(answer, True) == model.write(system, user, tokens=40, seconds=30)
    cut = model.write(*TALKS[0][:2], tokens=3, seconds=30)
    assert not cut.is_whole and TALKS[0][2].startswith(cut.text)
    assert not model.write(*TALKS[0][:2], tokens=500, seconds=1e-6).is_whole
    with pytest.raises(InvalidRequest, match="prompt is too long for the enhancer"):
        model.write("Say more.", "word " * 3000, tokens=40, seconds=30)


def test_a_template_without_a_system_turn_gets_one_turn(tmp_path: Path) -> None:
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHAT
    model = InstructionModel.load(str(instruction_twin(tmp_path, TALKS[:1], refusing)), "cpu")
    assert model.write(*TALKS[0][:2], tokens=8, seconds=30).text


def test_the_class_that_ltx2_names_writes_too(tmp_path: Path) -> None:
    model = InstructionModel.load(str(gemma_twin(tmp_path)), "cpu")
    first = model.write("Say more.", "user prompt: a red fox", tokens=8, seconds=30)
    assert first.text and first == model.write("Say more.", "user prompt: a red fox", tokens=8, seconds=30)


def test_the_enhancer_of_a_pipeline_folder_is_found(twin: Path, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "prompt_enhancer").symlink_to(twin)
    (tmp_path / "processor").symlink_to(twin)
    assert InstructionModel.load(str(tmp_path), "cpu").local.folder == tmp_path / "prompt_enhancer"


def test_what_cannot_be_loaded_is_one_sentence(twin: Path, tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        made = tmp_path / name
        made.mkdir()
        for file in twin.iterdir():
            (made / file.name).write_bytes(file.read_bytes())
        return made

    def refused(name: str, fault: str, kind: type[Exception] = ModelNotFound) -> None:
        with pytest.raises(kind, match=fault) as told:
            InstructionModel.load(name, "cpu")
        assert str(told.value).startswith("enhancer ") and str(tmp_path) not in str(told.value)

    refused("nobody/has-this-model", r"is not on this machine: fetch it first with `hf download nobody/has-this-model`")
    refused(str(tmp_path / "none"), "enhancer none is not on this machine")
    cut = copy("cut")
    whole = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    refused(str(cut), "model.safetensors is cut off")
    (cut / "model.safetensors").unlink()
    refused(str(cut), "lacks its weights")
    (cut / "config.json").write_text("{")
    refused(str(cut), "config.json is no JSON object")
    mute = copy("mute")
    (mute / "chat_template.jinja").unlink()
    refused(str(mute), "no chat template")
    strange = copy("strange")
    (strange / "config.json").write_text((strange / "config.json").read_text().replace('"llama"', '"nonsense"'))
    refused(str(strange), "cannot be used")
    thin = copy("thin")
    (thin / "config.json").write_text(
        (thin / "config.json").read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3')
    )
    refused(str(thin), "lacks weights")
    large = copy("large")
    size = 1024**4
    header = b'{"x":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (size, size)
    with (large / "model.safetensors").open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(8 + len(header) + size)  # a hole: takes no room on the disk
    refused(str(large), "too large for the memory here", OutOfMemory)
