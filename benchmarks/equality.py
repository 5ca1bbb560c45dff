"""Claim: our denoising loop gives what diffusers' LTX2Pipeline gives on the same weights, to 1e-4 in pixels and samples.

``python benchmarks/equality.py [--quick] [--json]``: both layouts as tiny twins and the embedded model, guided and not.
Exits 1 when a difference is above the gate.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from diffusers import LTX2Pipeline
from PIL import Image

from pipelines.conditioning import Given, encode_ends, encode_prompt, give_references
from pipelines.guidance import Guidance, Scales
from pipelines.models.ltx2 import twin
from pipelines.models.ltx2.decode import decode_audio, decode_video
from pipelines.models.ltx2.latents import Canvas
from pipelines.models.ltx2.load import LTX2Model, from_pipeline
from pipelines.passes import Latents, Passes, Steering
from pipelines.registry import Defaults, ModelSpec, published_models
from pipelines.sampling import Course, denoise, noise, schedule

GATE = 1e-4
PROMPT, NEGATIVE = "a red ball bouncing on grass", "blurry, silent"
GUIDANCES = {
    "unguided": Guidance(),
    "cfg": Guidance(Scales(3.0, 0.0, 1.0, 0.7), Scales(7.0, 0.0, 1.0, 0.5)),
    "all guidances": Guidance(Scales(3.0, 1.0, 2.5, 0.7), Scales(7.0, 0.5, 3.0, 0.4), (1,)),
}
STEPS, SEED = 4, 7

Output = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Case:
    """One pipeline and the clip to make with it."""

    pipeline: LTX2Pipeline
    new_layout: bool
    guidance: Guidance
    size: dict[str, Any] = dataclasses.field(default_factory=lambda: dict(height=64, width=96, num_frames=17, frame_rate=24.0))

    def model(self) -> LTX2Model:
        """The pipeline's components as our engine holds them."""
        spec = ModelSpec(
            id="case", title="Case", description="", source="", loader="", licence="",
            defaults=Defaults(64, 96, 17, 24.0), use_cross_timestep=self.new_layout,
        )  # fmt: skip
        return from_pipeline(self.pipeline, spec, sha256="0", device=torch.device("cpu"))


def ours(
    case: Case,
    *,
    image: Image.Image | None = None,
    shown: Sequence[np.ndarray] = (),
    scale: int = 1,
    start: Latents | None = None,
    sigmas: tuple[float, ...] | None = None,
) -> Output:
    """Frames ``[F, H, W, 3]`` 0..1 and samples ``[C, n]`` from our loop.

    Clips ``[F, H, W, 3]`` uint8 are ``shown`` to it, ``scale`` times smaller; ``start`` is other noise than it would draw.
    """
    model = case.model()
    canvas = Canvas.of(model, **case.size)
    given = Given(encode_ends(model, canvas, image, None) if image else None)
    if shown:
        given = give_references(model, shown, canvas, given, scale)
        canvas = dataclasses.replace(canvas, beside=given.beside)
    start = start or noise(model, canvas, SEED)
    negative = encode_prompt(model, NEGATIVE) if case.guidance.needs_negative else None
    steering = Steering(encode_prompt(model, PROMPT), negative, given.video, guidance=case.guidance)
    scheduler = schedule(model, start.video_BND.shape[1], steps=STEPS, sigmas=sigmas)
    steps = denoise(Course(Passes(model, canvas, steering), start, scheduler))
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            latents = finished.value
            break
    return decode_video(model, latents.video_BND, canvas).numpy(), decode_audio(model, latents.audio_BND).numpy()


def theirs(case: Case, call: Any = None, **changes: Any) -> Output:
    """The same from diffusers; ``call`` is another pipeline over the same components."""
    video, audio = case.guidance.video, case.guidance.audio
    case.pipeline.set_progress_bar_config(disable=True)
    frames, samples = (call or case.pipeline)(
        prompt=PROMPT, negative_prompt=NEGATIVE, **case.size, num_inference_steps=STEPS,
        max_sequence_length=min(1024, case.pipeline.tokenizer.model_max_length),
        guidance_scale=video.guidance, stg_scale=video.stg, modality_scale=video.modality, guidance_rescale=video.rescale,
        audio_guidance_scale=audio.guidance, audio_stg_scale=audio.stg, audio_modality_scale=audio.modality,
        audio_guidance_rescale=audio.rescale, spatio_temporal_guidance_blocks=list(case.guidance.stg_blocks) or None,
        use_cross_timestep=case.new_layout, generator=torch.Generator().manual_seed(SEED), output_type="np", return_dict=False,
        **changes,
    )  # fmt: skip
    return frames[0], samples[0].float().numpy()


def difference(got: Output, expected: Output) -> float:
    """The largest absolute difference in pixels and samples; raises ``ValueError`` where a comparison would prove nothing."""
    for one, other in zip(got, expected, strict=True):
        if one.shape != other.shape or np.abs(other).max() < 0.01:
            raise ValueError(f"nothing to compare: shapes {one.shape} and {other.shape}, peak {np.abs(other).max():.4f}")
    return max(float(np.abs(one - other).max()) for one, other in zip(got, expected, strict=True))


def without_stg(guidance: Guidance) -> Guidance:
    """For the 2.0 layout, which has no perturbed attention."""
    return dataclasses.replace(
        guidance, video=dataclasses.replace(guidance.video, stg=0.0), audio=dataclasses.replace(guidance.audio, stg=0.0)
    )


def cases(quick: bool) -> dict[str, Case]:
    """The compared clips by name."""
    pocket = next(spec for spec in published_models() if spec.id == "pocket")
    embedded = LTX2Pipeline.from_pretrained(pocket.source, dtype=torch.float32, local_files_only=True)
    advice = pocket.defaults
    size = dict(height=advice.height, width=advice.width, num_frames=advice.num_frames, frame_rate=advice.frame_rate)
    found = {}
    for name, guidance in GUIDANCES.items():
        if quick and name == "cfg":
            continue
        found[f"twin 2.0, {name}"] = Case(twin.build("2.0"), False, without_stg(guidance))
        found[f"twin 2.3, {name}"] = Case(twin.build("2.3"), True, guidance)
        found[f"pocket, {name}"] = Case(embedded, True, guidance, size)
    return found


def main() -> int:
    """Print the figures; 1 when one is above the gate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = {name: difference(ours(case), theirs(case)) for name, case in cases(options.quick).items()}
    worst = max(figures.values())
    report = {
        "claim": "largest difference to LTX2Pipeline in fp32, pixels 0..1 and samples -1..1",
        "figure": worst,
        "gate": GATE,
        "pass": worst <= GATE,
        "baseline": "diffusers LTX2Pipeline, same weights, seed and settings",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "shape": f"{STEPS} steps",
        "cases": figures,
    }
    if options.json:
        print(json.dumps(report))
    else:
        for name, value in figures.items():
            print(f"{value:.1e}  {name}")
        print(f"{worst:.1e} at most; gate {GATE:.0e}: {'pass' if report['pass'] else 'FAIL'}")
    return 0 if report["pass"] else 1


if __name__ == "__main__":
    sys.exit(main())
