"""What lies in a folder of another program (ComfyUI, Wan2GP, InvokeAI, a plain one), told by headers. Nothing is changed.

A file counts by how it begins, whatever it is called and wherever below the folder it lies.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipelines.checkpoints.gguf_header import MAGIC
from pipelines.checkpoints.header import Damaged, begins_as_safetensors, read_header
from pipelines.checkpoints.kinds import Content, Kind, content_of
from pipelines.checkpoints.source import why_no_lender
from pipelines.checkpoints.transformer import LAYOUTS, read_transformer, shapes_in
from pipelines.contract import InvalidRequest
from pipelines.family import INDEXES, families
from pipelines.lora.file import check_layers, linear_layers
from pipelines.registry import ModelSpec

_MOST_FILES = 50_000
_PICKLES = (".ckpt", ".pt", ".pth", ".bin")


@dataclass(frozen=True)
class Found:
    """A file of weights, or a folder in diffusers layout; it fits ``models``, by id, and ``use`` is what can be done with it."""

    path: Path
    kind: str
    family: str
    size_bytes: int
    models: tuple[str, ...]
    use: str


@dataclass(frozen=True)
class _Lender:
    """A model on this machine that files may fit; its shapes are read when they are first asked for."""

    spec: ModelSpec

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return shapes_in(Path(self.spec.source))

    @cached_property
    def layers(self) -> Mapping[str, tuple[int, int]]:
        return linear_layers(Path(self.spec.source))


def scan(folder: Path, models: Iterable[ModelSpec]) -> list[Found]:
    """Everything below ``folder`` that holds weights, by path; ``models`` are those of the studio.

    Raises ``InvalidRequest`` where there is no such folder or it holds too many files.
    """
    root = folder.expanduser().absolute()
    if not root.is_dir():
        raise InvalidRequest(f"folder {str(folder)[:200]} does not exist; give the path of a folder of models.", field="folder")
    local = [spec for spec in models if spec.is_local and not spec.transformer and not spec.adapter and spec.held_as is None]
    lenders = [_Lender(spec) for spec in local]
    return [_looked_at(path, lenders) for path in _weights_below(root)]


def _weights_below(root: Path) -> Iterator[Path]:
    seen = 0
    for home, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if not {*INDEXES}.isdisjoint(files):
            folders.clear()
            yield Path(home)
            continue
        for name in sorted(files):
            seen += 1
            if seen > _MOST_FILES:
                raise InvalidRequest(
                    f"folder {root.name} holds more than {_MOST_FILES:,} files; give the folder of the models in it.",
                    field="folder",
                )
            if _begins_like_weights(Path(home, name)):
                yield Path(home, name)


def _begins_like_weights(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.suffix.lower() in (".safetensors", ".gguf"):  # also where the beginning is damaged: that is worth saying
        return True
    try:
        with path.open("rb") as stream:
            begin = stream.read(9)
    except OSError:
        return False
    is_pickle = begin.startswith((b"PK", b"\x80")) and path.suffix.lower() in _PICKLES
    return begin.startswith(MAGIC) or begins_as_safetensors(begin) or is_pickle


def _looked_at(path: Path, lenders: list[_Lender]) -> Found:
    if path.is_dir():
        return _folder(path)
    size = path.stat().st_size
    try:
        content = content_of(read_header(path))
    except Damaged as error:
        return Found(path, "refused", "", size, (), f"I{str(error)[1:]}.")
    if content.kind is Kind.LORA:
        fitting = tuple(each.spec.id for each in lenders if _is_lora_for(path, each))
        family = ", ".join(fitting) and "LTX-2"
        use = f"python app.py lora import {shlex.quote(str(path))}" if fitting else "It was made for a model that is not here."
        return Found(path, content.kind.value, family, size, fitting, use)
    fitting = tuple(each.spec.id for each in lenders if _is_transformer_for(path, each)) if _can_run(content) else ()
    return Found(path, content.kind.value, content.family, size, fitting, _use(path, content, fitting))


def _can_run(content: Content) -> bool:
    return content in [Content(Kind.TRANSFORMER, layout.family) for layout in LAYOUTS]


def _use(path: Path, content: Content, fitting: tuple[str, ...]) -> str:
    if fitting:
        return f"STUDIO_MODELS={shlex.quote(json.dumps({path.stem: f'{path}@{fitting[0]}'}))}"
    if _can_run(content):
        return "No model here has its sizes, so none can lend it the other parts: install one of its generation."
    match content.kind:
        case Kind.TRANSFORMER:
            return "Single files of this family cannot be used."
        case Kind.VAE | Kind.TEXT_ENCODER:
            return "Nothing: a model that the studio runs brings its own."
        case _:
            return "It is not known what this is."


def _folder(path: Path) -> Found:
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    names = []
    for index in (each for each in INDEXES if (path / each).is_file()):
        try:
            names.append(str(json.loads((path / index).read_text(encoding="utf-8")).get("_class_name")))
        except (OSError, ValueError, AttributeError):
            return Found(path, "refused", "", size, (), f"{index} is damaged.")
    use = "Folders of this family cannot be used."
    known = {"LTX2Pipeline", *(name for family in families() for name in family.classes)}
    name = next((each for each in names if each in known), names[0])
    if name in known:
        use = f"STUDIO_MODELS={shlex.quote(json.dumps({path.name: str(path)}))}"
    return Found(path, "model folder", name, size, (), use)


def _is_lora_for(path: Path, lender: _Lender) -> bool:
    try:
        check_layers(path, lender.layers)
    except InvalidRequest:
        return False
    return True


def _is_transformer_for(path: Path, lender: _Lender) -> bool:
    if why_no_lender(lender.spec):
        return False
    try:
        read_transformer(path).check(lender.shapes, lender.spec.title)
    except Damaged:
        return False
    return True
