"""``lora``: keep, look into and compare LoRA files; and how ``generate`` is given some."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.contract import InvalidRequest
from studio.terminal import answer, failures, settings_with, table

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Model = Annotated[str, typer.Option(help="The installed model that they are for.")]
app = typer.Typer(help="Keep, look into and compare LoRA files.", no_args_is_help=True, rich_markup_mode=None)
_stacks = typer.Typer(help="Save stacks of kept LoRAs under a name.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(_stacks, name="stack")


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A safetensors file.")], model: Model = "pocket", as_json: AsJson = False
) -> None:
    """Check a LoRA file and say what is in it; exits 2 with the reason where it is no whole, finite LoRA for the model."""
    with failures(as_json):
        lora = _checked(file, model)
        told = {
            "path": str(file),
            "model": model,
            "sha256": lora.sha256,
            "size_bytes": lora.size_bytes,
            "layout": lora.layout,
            "layers": len(lora.layers),
            "ranks": lora.ranks,
            "trigger_words": lora.trigger_words,
            "metadata": dict(lora.metadata),
        }
        answer(told, as_json, lambda: table(("what", "value"), [(name, str(value)[:120]) for name, value in told.items()], ""))


@app.command()
def conflict(
    loras: Annotated[list[str], typer.Argument(help="Two or more safetensors files, or names of kept ones.")],
    model: Model = "pocket",
    as_json: AsJson = False,
) -> None:
    """How much LoRAs fight when they act together, pair by pair."""
    with failures(as_json):
        from itertools import combinations

        from pipelines.lora.conflict import conflict as compared

        if len(loras) < 2:
            raise InvalidRequest("loras is one; give two or more to compare.", field="loras")
        read = [_checked(_file_of(each), model) for each in loras]
        found = [(one, two, compared(one, two)) for one, two in combinations(read, 2)]
        told = [
            {"one": str(one.path), "two": str(two.path), "level": each.level, "cosine": each.cosine, "overlap": each.overlap}
            for one, two, each in found
        ]
        rows = [
            (one.path.name, two.path.name, each.level, f"{each.cosine:+.2f}", f"{each.overlap:.2f}") for one, two, each in found
        ]
        answer({"conflicts": told}, as_json, lambda: table(("one", "two", "conflict", "cosine", "overlap"), rows, ""))


@app.command("list")
def listed(as_json: AsJson = False) -> None:
    """List the LoRAs that came with the studio and those that are kept in it."""
    with failures(as_json), _studio() as studio:
        found = studio.loras()
        rows = [
            (
                each["reference"][5:17],
                each["name"],
                "the studio's" if each["is_shipped"] else "yours",
                ", ".join(each["models"]),
                f"{each['size_bytes'] / 1e6:.1f} MB",
                _words(each),
            )
            for each in found
        ]
        head = ("hash", "name", "whose", "for", "size", "trigger words")
        answer({"loras": found}, as_json, lambda: table(head, rows, "no LoRAs yet"))


@app.command("import")
def keep(files: Annotated[list[Path], typer.Argument(help="Safetensors files.")], as_json: AsJson = False) -> None:
    """Check LoRA files against the installed models and keep copies in the studio."""
    with failures(as_json), _studio() as studio:
        kept = [studio.import_lora(_existing(file)) for file in files]
        rows = [(each["reference"][5:17], each["name"], ", ".join(each["models"]), _words(each)) for each in kept]
        answer({"loras": kept}, as_json, lambda: table(("hash", "name", "for", "trigger words"), rows, ""))


@app.command()
def remove(lora: Annotated[str, typer.Argument(help="Its name, or the beginning of its hash.")], as_json: AsJson = False) -> None:
    """Let go of a LoRA that is kept in the studio."""
    with failures(as_json), _studio() as studio:
        reference = named(lora, studio.loras())["reference"]
        studio.remove_lora(reference)
        answer({"removed": reference}, as_json, lambda: typer.echo(f"removed {reference[5:17]}"))


@_stacks.command("list")
def list_stacks(as_json: AsJson = False) -> None:
    """List the saved stacks, yours and the page's: they are the same."""
    with failures(as_json), _studio() as studio:
        names = {each["reference"]: each["name"] for each in studio.loras()}
        found = studio.stacks()
        rows = [(each["name"], " ".join(_written(use, names) for use in each["uses"])) for each in found]
        answer({"stacks": found}, as_json, lambda: table(("name", "LoRAs"), rows, "no saved stacks yet"))


@_stacks.command("save")
def save_stack(
    name: Annotated[str, typer.Argument(help="What to call it; one of that name is replaced.")],
    loras: Annotated[list[str], typer.Argument(help="Kept LoRAs, each as generate --lora takes it.")],
    as_json: AsJson = False,
) -> None:
    """Save which LoRAs act together, how strongly and when; `generate --lora-stack` takes the name."""
    with failures(as_json), _studio() as studio:
        kept = studio.loras()
        read = [read_use(each) for each in loras]
        saved = studio.save_stack(name, [{"lora": named(which, kept)["reference"], **fields} for which, fields in read])
        answer(saved, as_json, lambda: typer.echo(f"saved {saved['name']}: {len(saved['uses'])} LoRAs"))


@_stacks.command("remove")
def remove_stack(name: Annotated[str, typer.Argument(help="Its name.")], as_json: AsJson = False) -> None:
    """Forget a saved stack; its LoRAs stay."""
    with failures(as_json), _studio() as studio:
        studio.remove_stack(name)
        answer({"removed": name}, as_json, lambda: typer.echo(f"removed {name}"))


def named(text: str, kept: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The one LoRA of ``kept`` with this name, or whose hash begins so. Raises ``InvalidRequest``."""
    start = text.removeprefix("lora:").lower()
    found = [each for each in kept if each["name"].casefold() == text.casefold()] or [
        each for each in kept if len(start) >= 6 and each["reference"][5:].startswith(start)
    ]
    if len(found) != 1:
        why = "is the name of several kept LoRAs; give its hash" if found else "is no kept LoRA; see `python app.py lora list`"
        raise InvalidRequest(f"lora {text[:100]!r} {why}.", field="lora")
    return found[0]


def _studio() -> Any:
    """The studio, here or where it is served; loaded only for the commands that ask it."""
    from studio.reach import reached

    return reached(settings_with())


def _kept_file(text: str) -> Path:
    """The file of a LoRA that is kept in the studio. Raises ``InvalidRequest``."""
    with _studio() as studio:
        reference: str = named(text, studio.loras())["reference"]
    from pipelines.lora.catalogue import shipped

    kept: Path = settings_with().loras_dir / f"{reference[5:]}.safetensors"
    return shipped()[reference].path if reference in shipped() and not kept.exists() else kept


def _file_of(text: str) -> Path:
    """A file as it is named, or that of a kept LoRA."""
    return Path(text) if Path(text).is_file() or text.endswith(".safetensors") else _kept_file(text)


def _words(lora: dict[str, Any]) -> str:
    return ", ".join(lora["trigger_words"])


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise InvalidRequest(f"lora {str(file)[:200]} does not exist; give the path of a safetensors file.", field="lora")
    return file


def _checked(file: Path, model: str) -> Any:
    from pipelines.lora.file import linear_layers, read_lora

    _existing(file)
    spec = settings_with().catalogue.get(model)
    if not spec.is_local:
        raise InvalidRequest(f"model {model} is not on this machine; LoRAs are checked against installed models.", field="model")
    if not spec.takes("loras"):
        raise InvalidRequest(f"model {model} takes no LoRAs here; name an LTX-2 model.", field="model")
    return read_lora(file, linear_layers(Path(spec.source)))


@dataclass(frozen=True)
class Stack:
    """LoRAs of one clip: fields of ``LoraUse``, where their files lie, and the words that call them up."""

    uses: list[dict[str, Any]]
    sources: dict[str, Path]
    trigger_words: tuple[str, ...]


WRITTEN = "LORA[:WEIGHT][:picture=N][:sound=N][:from=N][:until=N]"
"""How a use of a LoRA is written: its weight, times so much for either stream, over which share of the steps."""
_SAID = re.compile(r"(?:(picture|sound|from|until)=)?([+-]?(?:\d+\.?\d*|\.\d+))")
_FIELDS = {None: "weight", "picture": "video", "sound": "audio", "from": "start", "until": "end"}


def read_use(text: str) -> tuple[str, dict[str, float]]:
    """The LoRA that ``WRITTEN`` names, and fields of ``LoraUse``. Raises ``InvalidRequest`` where one is said twice."""
    name, fields = text, {"weight": 1.0}
    said: set[str] = set()
    while ":" in name:
        rest, _, last = name.rpartition(":")
        found = _SAID.fullmatch(last)
        if found is None or not rest:
            break
        field = _FIELDS[found[1]]
        if field in said:
            raise InvalidRequest(f"lora {text[:100]!r} says its {found[1] or 'weight'} twice; say it once.", field="lora")
        said.add(field)
        fields[field] = float(found[2])
        name = rest
    return name, fields


def _written(use: dict[str, Any], names: dict[str, str]) -> str:
    """A saved use as ``WRITTEN``."""
    said = [f":{word}={use[field]:g}" for word, field in _FIELDS.items() if word and use[field] != (word != "from")]
    return f"{names.get(use['lora'], use['lora'][5:17])}:{use['weight']:g}{''.join(said)}"


def _saved_uses(name: str) -> list[tuple[str, dict[str, float]]]:
    """The references of a saved stack with their fields of ``LoraUse``. Raises ``InvalidRequest``."""
    with _studio() as studio:
        found = [each for each in studio.stacks() if each["name"] == name]
    if not found:
        raise InvalidRequest(f"lora_stack {name[:100]!r} is not saved; see `python app.py lora stack list`.", field="lora_stack")
    return [(use.pop("lora"), use) for use in found[0]["uses"]]


def stack_of(given: Sequence[str], model: str, saved: str | None = None) -> Stack:
    """Uses as ``WRITTEN``, each LoRA a file, or the name or hash of a kept one, after those of a saved stack.

    Raises ``InvalidRequest``.
    """
    found: list[dict[str, Any]] = []
    sources: dict[str, Path] = {}
    words: list[str] = []
    for which, fields in (*(() if saved is None else _saved_uses(saved)), *map(read_use, given)):
        path = _file_of(which)
        lora = _checked(path, model)
        words.extend(lora.trigger_words)
        reference = f"lora:{lora.sha256}"
        found.append({"lora": reference, **fields})
        sources[reference] = path.absolute()
    return Stack(found, sources, tuple(dict.fromkeys(words)))
