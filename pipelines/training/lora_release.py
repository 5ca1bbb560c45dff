"""The shipped LoRAs: trained from their recipes, shown in a small clip, and put into ``loras`` with a catalogue."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import safe_open

from pipelines.clip_io import Origin, read_media, read_origin, write_clip
from pipelines.contract import Done, GenerationRequest, InvalidRequest, LoraUse
from pipelines.engine import Engine
from pipelines.lora.catalogue import CATALOGUE_FILE, LORAS_FOLDER
from pipelines.models.ltx2.load import ADAPTER_FILE, LTX2Model
from pipelines.models.manifest import name_of_denoiser
from pipelines.registry import POCKET_FAST_FOLDER, POCKET_FOLDER, UNGUIDED, ModelCatalogue, pocket_in
from pipelines.training.lora_data import TrainingShape, encode
from pipelines.training.lora_recipes import LORA_RECIPES, STUDENT_RECIPE, LoraRecipe, render_samples
from pipelines.training.lora_training import LoraTask, Source, train_lora
from pipelines.training.publish import publish as release_folder
from pipelines.training.trainer import Logged

RUNS = Path("runs/lora")
_PREVIEW_SEED = 7
_PREVIEW_CRF = 22
_MOST_PREVIEW_BYTES = 100_000


def recipes_named(name: str) -> list[LoraRecipe]:
    """The recipe of that name, or every style for ``all``. Raises ``InvalidRequest``."""
    if name == "all":
        return [*LORA_RECIPES.values()]
    known = LORA_RECIPES | {STUDENT_RECIPE.name: STUDENT_RECIPE}
    if name not in known:
        raise InvalidRequest(f"recipe is {name[:60]!r}; use {', '.join(known)} or all.", field="recipe")
    return [known[name]]


def task_of(recipe: LoraRecipe, task: LoraTask) -> LoraTask:
    """``task`` with what the recipe says of itself."""
    settings = replace(
        task.settings, rank=recipe.rank, trigger=recipe.trigger, streams=recipe.streams, few_steps=recipe.few_steps
    )
    about = {"title": recipe.title, "recipe": recipe.name, "description": recipe.description}
    return replace(task, base=recipe.base, settings=settings, about=about)


def train_recipe(recipe: LoraRecipe, task: LoraTask, model: LTX2Model) -> Iterator[Logged]:
    """Render the recipe's clips, encode them and train; the file lies at ``task.out`` afterwards."""
    shape = TrainingShape.of(model.spec)
    clips = encode(model, render_samples(recipe, model.spec, shape, task.settings.seed), shape)
    yield from train_lora(task, model, Source(shape, clips))


def publish(recipe: LoraRecipe, file: Path, catalogue: ModelCatalogue, target: Path = LORAS_FOLDER) -> dict[str, Any]:
    """Put a trained file, its preview and its entry into ``target``, in the place of those of its name; the entry."""
    target.mkdir(parents=True, exist_ok=True)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    preview = target / f"{recipe.name}.mp4"
    make_preview(recipe, file, catalogue, preview)
    shutil.copyfile(file, target / f"{recipe.name}.safetensors")
    with safe_open(str(file), "np") as opened:
        said: dict[str, str] = opened.metadata()
        layers = len(opened.keys()) // 2
    entry = {
        "name": recipe.title,
        "kind": recipe.kind,
        "file": f"{recipe.name}.safetensors",
        "sha256": sha256,
        "base": said["base"],
        "base_sha256": said["base_sha256"],
        "denoiser_sha256": name_of_denoiser(catalogue.get(recipe.base).sha256),
        "layers": layers,
        "ranks": [int(said["rank"])],
        "trigger_words": [recipe.trigger],
        "strength": recipe.strength,
        "preview": preview.name,
        "prompt": prompt_of(recipe),
        "description": recipe.description,
        "training": json.loads(said["training"]),
    }
    listed = target / CATALOGUE_FILE.name
    entries = []
    with suppress(FileNotFoundError):
        entries = json.loads(listed.read_text(encoding="utf-8"))["loras"]
    kept = {each["file"]: each for each in entries} | {entry["file"]: entry}
    ordered = [kept[name] for name in sorted(kept)]
    listed.write_text(json.dumps({"loras": ordered}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return entry


def publish_student(recipe: LoraRecipe, file: Path, target: Path = POCKET_FAST_FOLDER) -> dict[str, str]:
    """Put a trained student's adapter into ``target`` with what it recommends; its manifest. A README.md there is kept."""
    own = pocket_in(POCKET_FOLDER)
    told = {name: getattr(own.defaults, name) for name in ("height", "width", "num_frames", "frame_rate")}
    advice = told | UNGUIDED | {"num_inference_steps": recipe.few_steps, "examples": list(own.examples)}

    def fill(fresh: Path) -> None:
        shutil.copyfile(file, fresh / ADAPTER_FILE)
        (fresh / "studio.json").write_text(json.dumps(advice, indent=2) + "\n")

    return release_folder(target, fill)


def prompt_of(recipe: LoraRecipe) -> str:
    """The recipe's prompt with its trigger words."""
    return recipe.prompt if recipe.trigger in recipe.prompt else f"{recipe.trigger}, {recipe.prompt}"


def make_preview(recipe: LoraRecipe, file: Path, catalogue: ModelCatalogue, path: Path) -> None:
    """A clip of the recipe's prompt with the LoRA, compressed further where it would be too large."""
    reference = f"lora:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    uses = (LoraUse(lora=reference, weight=recipe.strength),)
    request = catalogue.complete(GenerationRequest(model=recipe.base, prompt=prompt_of(recipe), seed=_PREVIEW_SEED, loras=uses))
    with tempfile.TemporaryDirectory(prefix="studio-preview-") as folder:
        made = Path(folder) / "clip.mp4"
        engine = Engine(catalogue, media_dir=Path(folder), device="cpu")
        done = [event for event in engine.run(request, made, {reference: file}) if isinstance(event, Done)]
        assert done
        origin, media = read_origin(made), read_media(made)
    for crf in range(_PREVIEW_CRF, 41, 4):
        small = Origin(origin.request.model_copy(update={"crf": crf, "audio_bitrate_kbps": 64}), "", "")
        write_clip(path, media.frames, media.sound, small)
        if path.stat().st_size <= _MOST_PREVIEW_BYTES:
            return
