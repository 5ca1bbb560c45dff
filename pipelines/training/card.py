"""The model card: what a release is, what it was made of and how, and what was measured on it; written, not remembered."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.metrics.evaluation import Report
from pipelines.metrics.figures import Figure
from pipelines.training.recipes import Recipe
from pipelines.world.words import ACTIONS, COLOURS, PLACES, SHAPES, SPRITES, TALKERS

STAGES = ("video_vae", "audio_vae", "vocoder", "transformer", "upscaler")
RECORD = "training.json"
"""In a released folder, what training its weights have had."""
EARLIER = "earlier.json"
"""In a folder of runs, the record of the weights that they began with."""
_HEAD = """---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-video
tags: [audio-video, procedural, tiny]
---

# {name}

A text-to-clip model of LTX-2's own classes (the 2.3 layout: gated and perturbed attention, per-modality connectors), small
enough to live in a source repository. It makes {size}x{size} clips of {frames} frames at {rate:g} frames a second with
{hertz} kHz mono sound: {sprites} things and animals, {shapes} shapes in {colours} colours and {talkers} kinds of talking
characters, at {places} places, doing {actions} things, with the sound that this makes.

```python
from diffusers import LTX2Pipeline

pipeline = LTX2Pipeline.from_pretrained("assets/models/{name}")
frames, sound = pipeline(
    "a red ball bouncing on grass",
    width={size},
    height={size},
    num_frames={frames},
    frame_rate={rate:g},
    num_inference_steps=24,
    guidance_scale=3.0,
    max_sequence_length={tokens},
    use_cross_timestep=True,
    output_type="np",
    return_dict=False,
)
```

The studio loads it by itself. `studio.json` holds its recommended settings, `words.json` every word that it knows,
`evaluation.json` all figures, `training.json` the minutes of each stage, `sha256.json` the hash of every file but these and
this card.

**Data.** Only what `pipelines/world` renders: this repository's code and drawings of MIT, Apache-2.0 and CC0 sets
([assets/world/NOTICE.md](../../world/NOTICE.md)); all sound is synthesised. No photographs, films, recordings or voices, by
nobody. **Licence:** Apache-2.0.

**Limits.** It knows the words of its world and nothing else: other prompts give something of that world. Sizes and lengths
other than the trained ones run and look worse. It is here so that the studio works, and can be tested, on any machine; it is
not a model of the real world. [docs/pocket.md](../../../docs/pocket.md) says more.
"""


def model_card(recipe: Recipe, name: str, runs: Path, report: Report, parameters: dict[str, int]) -> str:
    """The README.md of a release: description, parts, training as the runs' own records tell it, and figures."""
    head = _HEAD.format(
        name=name, size=recipe.size, frames=recipe.num_frames, rate=recipe.frame_rate, tokens=recipe.prompt_tokens,
        hertz=recipe.sound.sample_rate // 1000, sprites=len(SPRITES), shapes=len(SHAPES), colours=len(COLOURS),
        talkers=len(TALKERS), places=len(PLACES), actions=len(ACTIONS),
    )  # fmt: skip
    command = f"python app.py evaluate --model {name} --clips {report.clips} --seed {report.seed}"
    parts = [f"| {part} | {count / 1e6:.2f} M |" for part, count in parameters.items()]
    return "\n".join(
        [
            head,
            "## Parts\n\n| part | parameters |\n|---|---|",
            *parts,
            f"| all, in 16 bits | {sum(parameters.values()) * 2 / 1e6:.1f} MB |",
            f"\n## Training\n\n{_training(runs)}",
            f"\n## Figures\n\n`{command}`: {report.seeds}.\n",
            "| measure | model | ceiling | share | floor | target | |\n|---|---|---|---|---|---|---|",
            *(_row(figure) for figure in report.figures),
            "",
        ]
    )


def training_record(runs: Path) -> dict[str, dict[str, float]]:
    """Minutes and steps of each stage: those in ``runs``, and those that the weights had which they began with."""
    earlier = runs / EARLIER
    record = json.loads(earlier.read_text(encoding="utf-8")) if earlier.exists() else {}
    for stage in STAGES:
        now = runs / f"{stage}.json"
        if now.exists():
            spent, before = json.loads(now.read_text(encoding="utf-8")), record.get(stage, {})
            record[stage] = {name: round(spent[name] + before.get(name, 0), 1) for name in ("minutes", "steps")}
    return record


def _training(runs: Path) -> str:
    """One row a stage: its minutes and steps over all runs, and its last losses."""
    rows = ["| stage | minutes | steps | last losses |", "|---|---|---|---|"]
    for stage, spent in training_record(runs).items():
        log = runs / f"{stage}.log.jsonl"
        last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])["losses"] if log.exists() else {}
        losses = ", ".join(f"{name} {value:.3g}" for name, value in last.items())
        rows.append(f"| `{stage}` | {spent['minutes']:g} | {spent['steps']:g} | {losses} |")
    seeds = sorted(path.stem.removeprefix("latents-") for path in runs.glob("latents-*.pt"))
    return "\n".join([*rows, f"\nSeeds: 0 for weights and data of every stage; latents {', '.join(seeds)}."])


def _row(figure: Figure) -> str:
    cells = (figure.model, figure.ceiling, figure.share, figure.floor, figure.target)
    verdict = "" if figure.judged == "reported" else "holds" if figure.holds else "**below**"
    return "| " + " | ".join([figure.name, *("" if cell is None else f"{cell:.2f}" for cell in cells), verdict]) + " |"
