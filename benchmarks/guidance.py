"""Claim: guided denoising costs less than LTX2Pipeline's on the same weights, with the same result.

    python benchmarks/guidance.py [--quick] [--json]

LTX-2 pays four evaluations a step. In the 2.0 layout one of them (STG) changes nothing, because nothing is perturbed there:
it is not made. In the 2.3 layout it equals the positive one up to the first perturbed block: it begins there. Twins of the
real classes with 48 blocks and random weights, block 28 perturbed as in the releases; both sides without decoding. Exits 1
below a gate.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from diffusers import LTX2Pipeline

from benchmarks.equality import Case, without_stg
from pipelines.conditioning import encode_prompt
from pipelines.guidance import Guidance, Scales
from pipelines.models.ltx2 import twin
from pipelines.models.ltx2.latents import Canvas
from pipelines.passes import Latents, Passes, Steering
from pipelines.sampling import Course, denoise, noise, schedule

LEAST = {"2.0": 1.30, "2.3": 1.16}
LARGEST_DIFFERENCE = 1e-5  # of latents of deviation 1: another batch size rounds otherwise
SIZE = dict(height=256, width=256, num_frames=49, frame_rate=24.0)
GUIDANCE = Guidance(Scales(3.0, 1.0, 3.0, 0.7), Scales(7.0, 1.0, 3.0, 0.7), (28,))
TWIN = twin.TwinSize(video_width=128, audio_width=64, heads=4, layers=48)
PROMPT, SEED = "a red ball bouncing on grass", 7


@dataclass(frozen=True)
class Sides:
    """The same denoising by diffusers and by this project; both return packed latents."""

    pipeline: LTX2Pipeline
    layout: twin.Layout
    steps: int

    def ours(self) -> Latents:
        """Our loop."""
        guidance = without_stg(GUIDANCE) if self.layout == "2.0" else GUIDANCE
        model = Case(self.pipeline, self.layout == "2.3", guidance).model()
        canvas = Canvas.of(model, **SIZE)
        start = noise(model, canvas, SEED)
        steering = Steering(encode_prompt(model, PROMPT), encode_prompt(model, ""), guidance=guidance)
        scheduler = schedule(model, start.video_BND.shape[1], steps=self.steps, sigmas=None)
        run = denoise(Course(Passes(model, canvas, steering), start, scheduler))
        while True:
            try:
                next(run)
            except StopIteration as finished:
                return finished.value

    def theirs(self) -> Latents:
        """``LTX2Pipeline`` with the settings of its releases, STG among them."""
        video, audio = GUIDANCE.video, GUIDANCE.audio
        self.pipeline.set_progress_bar_config(disable=True)
        made = self.pipeline(
            prompt=PROMPT, negative_prompt="", **SIZE, num_inference_steps=self.steps,
            max_sequence_length=self.pipeline.tokenizer.model_max_length, guidance_scale=video.guidance, stg_scale=video.stg,
            modality_scale=video.modality, guidance_rescale=video.rescale, audio_guidance_scale=audio.guidance,
            audio_stg_scale=audio.stg, audio_modality_scale=audio.modality, audio_guidance_rescale=audio.rescale,
            spatio_temporal_guidance_blocks=list(GUIDANCE.stg_blocks), use_cross_timestep=self.layout == "2.3",
            generator=torch.Generator().manual_seed(SEED), output_type="latent", return_dict=False,
        )  # fmt: skip
        return Latents(made[0], made[1])


def measured(sides: Sides, repeats: int) -> dict[str, Any]:
    """Median seconds of both, in turns, their ratio, and the largest difference of the denoised latents."""
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    made: dict[str, Latents] = {}
    for turn in range(repeats + 1):  # the first warms up
        for name, call in (("theirs", sides.theirs), ("ours", sides.ours)):
            begin = time.perf_counter()
            made[name] = call()
            if turn:
                seconds[name].append(time.perf_counter() - begin)
    median = {name: float(np.median(values)) for name, values in seconds.items()}
    return {"speedup": median["theirs"] / median["ours"], "seconds": median, "difference": _difference(sides, made)}


def _difference(sides: Sides, made: dict[str, Latents]) -> float:
    """The pipeline gives its latents back denormalised and in their own shapes; ours are brought there."""
    from pipelines.models.ltx2.latents import denormalize_audio, denormalize_video, unpack_audio, unpack_video

    model = Case(sides.pipeline, True, GUIDANCE).model()
    canvas = Canvas.of(model, **SIZE)
    video = denormalize_video(model, unpack_video(made["ours"].video_BND, canvas))
    audio = unpack_audio(denormalize_audio(model, made["ours"].audio_BND), made["theirs"].audio_BND.shape[-1])
    pairs = ((video, made["theirs"].video_BND), (audio, made["theirs"].audio_BND))
    return max(float((one - other).abs().max()) for one, other in pairs)


def main() -> int:
    """Print the figures; 1 when one misses its gate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer steps and repetitions")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    steps, repeats = (2, 2) if options.quick else (4, 5)
    layouts: tuple[twin.Layout, ...] = ("2.0", "2.3")
    figures = {layout: measured(Sides(twin.build(layout, TWIN), layout, steps), repeats) for layout in layouts}
    good = all(each["speedup"] >= LEAST[layout] and each["difference"] <= LARGEST_DIFFERENCE for layout, each in figures.items())
    report = {
        "claim": "seconds of LTX2Pipeline through ours, guided denoising, same weights",
        "figure": {layout: each["speedup"] for layout, each in figures.items()},
        "gate": LEAST,
        "pass": good,
        "baseline": "diffusers LTX2Pipeline with its releases' guidance",
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "shape": f"48 blocks of width {TWIN.video_width}, {SIZE['num_frames']} frames of {SIZE['width']}, {steps} steps",
        "layouts": figures,
    }
    if options.json:
        print(json.dumps(report))
    else:
        for layout, each in figures.items():
            print(f"{layout}: {each['speedup']:.2f}x, gate {LEAST[layout]:.2f}; largest difference {each['difference']:.1e}")
        print(f"{report['shape']}; {report['machine']}: {'pass' if good else 'FAIL'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
