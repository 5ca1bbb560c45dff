"""Claim: on a CUDA GPU fused kernels or compiled blocks make a guided step of LTX-2 at least 1.45 times as fast.

    python gpu.py [--layout 2.0|2.3] [--layers 48] [--minutes 9] [--quick] [--json]
    python gpu.py --device cpu --tiny      the same path on a CPU, at a size that shows nothing but that it works

One file: it needs torch and a diffusers wheel, and Triton for the kernels. Where the studio's ``pipelines/optimize`` lies beside
its folder, what is measured is the studio's; alone it measures diffusers as it is and compiled, and says what it left out. Layers
have LTX-2's full size (768x512x121: 6,144 + 126 tokens, 1,024 of text) and random weights: good for seconds and bytes, never for
quality; the difference told is rounding. A step is four evaluations, as ``LTX2Pipeline`` makes them. Two baselines: that, and
that without the pass that changes nothing (2.0's perturbed one; 2.3 has none, so there they are the same). All ways take turns;
fp8 comes after them, for it changes the weights.
Exits 1 below the gate, 2 where there is no CUDA GPU.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from types import MethodType
from typing import Any

import torch
from diffusers import LTX2VideoTransformer3DModel
from diffusers.utils import logging

GATE = 1.45
STOCK, NEEDED = "stock", "stock without its no-op pass"
STG_BLOCK = 28
HERE = Path(__file__).resolve().parent.parent
HAS_STUDIO = (HERE / "pipelines" / "optimize" / "kernels" / "block.py").is_file()


@dataclass(frozen=True)
class Size:
    """What is computed with; a video token is 8 x 32 x 32 pixels."""

    frames: int = 16
    height: int = 16
    width: int = 24
    audio: int = 126
    text: int = 1024
    layers: int = 48
    heads: int = 32
    wide: int = 128
    channels: int = 128
    caption: int = 3840


TINY = Size(frames=2, height=2, width=3, audio=5, text=16, layers=3, heads=2, wide=16, channels=8, caption=32)


def transformer_of(size: Size, layout: str, device: torch.device) -> Any:
    """The real class with random weights, made on the device in the dtype that it runs in."""
    new, width = layout == "2.3", size.heads * size.wide
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16 if device.type == "cuda" else torch.float32)
    try:
        with device:
            made = LTX2VideoTransformer3DModel(
                in_channels=size.channels, out_channels=size.channels, num_layers=size.layers, num_attention_heads=size.heads,
                attention_head_dim=size.wide, cross_attention_dim=width, audio_in_channels=size.channels,
                audio_out_channels=size.channels, audio_num_attention_heads=size.heads, audio_attention_head_dim=size.wide // 2,
                audio_cross_attention_dim=width // 2, caption_channels=size.caption, rope_type="split" if new else "interleaved",
                use_prompt_embeddings=not new, gated_attn=new, audio_gated_attn=new, cross_attn_mod=new,
                audio_cross_attn_mod=new, perturbed_attn=new,
            )  # fmt: skip
    finally:
        torch.set_default_dtype(torch.float32)
    return made.eval().requires_grad_(False)


class Step:
    """One guided step: the transformer calls of ``LTX2Pipeline`` over random latents and texts."""

    def __init__(self, transformer: Any, size: Size, layout: str) -> None:
        self.transformer, self.size, self.layout = transformer, size, layout
        self.block = min(STG_BLOCK, size.layers - 1)
        weight = transformer.proj_in.weight
        draw = torch.Generator(weight.device).manual_seed(1)

        def drawn(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=draw, device=weight.device, dtype=torch.float32).to(weight.dtype)

        width = size.heads * size.wide
        captions = (width, width // 2) if layout == "2.3" else (size.caption, size.caption)
        self.video, self.audio = (
            drawn(1, size.frames * size.height * size.width, size.channels),
            drawn(1, size.audio, size.channels),
        )
        self.texts = drawn(2, size.text, captions[0]), drawn(2, size.text, captions[1])
        self.mask = torch.ones(2, size.text, device=weight.device, dtype=weight.dtype)
        device = weight.device
        self.places = transformer.rope.prepare_video_coords(1, size.frames, size.height, size.width, device, fps=24.0)
        self.audio_places = transformer.audio_rope.prepare_audio_coords(1, size.audio, device)

    def call(self, rows: slice, **changes: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """One transformer call for the texts in ``rows``."""
        mask = self.mask[rows]
        batch, time_ = len(mask), mask.new_full((len(mask),), 700.0)
        given = dict(
            hidden_states=self.video.expand(batch, -1, -1),
            audio_hidden_states=self.audio.expand(batch, -1, -1),
            encoder_hidden_states=self.texts[0][rows],
            audio_encoder_hidden_states=self.texts[1][rows],
            encoder_attention_mask=mask,
            audio_encoder_attention_mask=mask,
            timestep=time_,
            sigma=time_,
            num_frames=self.size.frames,
            height=self.size.height,
            width=self.size.width,
            fps=24.0,
            audio_num_frames=self.size.audio,
            video_coords=self.places.expand(batch, *self.places.shape[1:]),
            audio_coords=self.audio_places.expand(batch, *self.audio_places.shape[1:]),
            use_cross_timestep=self.layout == "2.3",
            return_dict=False,
        )
        return self.transformer(**given | changes)

    def stock(self, *, perturbed: bool = True) -> torch.Tensor:
        """Both prompts, the perturbed pass, the isolated pass; the velocity of the picture for the positive prompt."""
        made = self.call(slice(0, 2))[0][1:]
        if perturbed:
            self.call(slice(1, 2), spatio_temporal_guidance_blocks=[self.block])
        self.call(slice(1, 2), isolate_modalities=True)
        return made

    def needed(self) -> torch.Tensor:
        """Without the perturbed pass where nothing can be perturbed."""
        return self.stock(perturbed=self.layout == "2.3")

    def shared(self) -> torch.Tensor:
        """The perturbed pass begins where it differs from the positive one."""
        if self.layout != "2.3":
            return self.needed()
        blocks = importlib.import_module("pipelines.optimize.blocks")
        recorder = blocks.Recorder(self.block, [1])  # the positive prompt's row
        with blocks.directed(self.transformer, recorder):
            made = self.call(slice(0, 2))[0][1:]
        with blocks.directed(self.transformer, blocks.Resumer(self.block, recorder.seen)):
            self.call(slice(1, 2), spatio_temporal_guidance_blocks=[self.block])
        self.call(slice(1, 2), isolate_modalities=True)
        return made


class Wardrobe:
    """What is put on a transformer's modules, kept so that ways can take turns without being made again."""

    def __init__(self, transformer: Any) -> None:
        self._modules = list(transformer.modules())

    def worn(self) -> list[dict[str, Any]]:
        """Now."""
        return [{name: vars(each)[name] for name in ("forward", "processor") if name in vars(each)} for each in self._modules]

    def wear(self, looks: list[dict[str, Any]]) -> None:
        """That, and nothing else."""
        for module, look in zip(self._modules, looks, strict=True):
            vars(module).pop("forward", None)
            vars(module).update(look)


@dataclass
class Way:
    """A step, what is worn for it, and what was measured."""

    step: Callable[[], torch.Tensor]
    worn: list[dict[str, Any]]
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    difference: float = 0.0


def compile_alone(transformer: Any) -> None:
    """As diffusers' ``compile_repeated_blocks``: one function for all blocks."""
    made = torch.compile(type(transformer.transformer_blocks[0]).forward)
    for block in transformer.transformer_blocks:
        block.forward = MethodType(made, block)


def ways_of(step: Step) -> tuple[dict[str, Way], dict[str, str]]:
    """Every way that can be measured here, and why others cannot."""
    transformer, wardrobe = step.transformer, Wardrobe(step.transformer)
    bare = wardrobe.worn()
    ways, left = {STOCK: Way(step.stock, bare), NEEDED: Way(step.needed, bare)}, {}
    if not HAS_STUDIO:
        compile_alone(transformer)
        ways["compiled blocks"] = Way(step.needed, wardrobe.worn())
        wardrobe.wear(bare)
        alone = "pipelines/optimize is not beside this file's folder"
        return ways, dict.fromkeys(("shared passes", "kept rotary tables", "fused kernels"), alone)
    sys.path.insert(0, str(HERE))
    ways["shared passes"] = Way(step.shared, bare)
    importlib.import_module("pipelines.optimize.kernels.rotary").keep_rotary(transformer)
    ways["kept rotary tables"] = Way(step.shared, kept := wardrobe.worn())
    choice = importlib.import_module("pipelines.optimize.kernels.choice")
    device = transformer.proj_in.weight.device.type
    reason = choice.unusable(device, transformer.proj_in.weight.dtype)
    if device == "cpu" or reason is None:
        part = "fused" if device == "cuda" else "reference"
        put_on = importlib.import_module("pipelines.optimize.kernels.block").put_on
        put_on(transformer, importlib.import_module(f"pipelines.optimize.kernels.{part}"))
        ways["fused kernels" if device == "cuda" else "fused steps in plain torch"] = Way(step.shared, wardrobe.worn())
        wardrobe.wear(kept)
    else:
        left["fused kernels"] = reason
    importlib.import_module("pipelines.optimize.kernels.compiled").compile_blocks(transformer)
    ways["compiled blocks"] = Way(step.shared, wardrobe.worn())
    wardrobe.wear(bare)
    return ways, left


def to_fp8(transformer: Any) -> str | None:
    """Hold and multiply the blocks' large layers in 8-bit floats, for good; why not, where not."""
    try:
        torchao = importlib.import_module("torchao.quantization")
    except ImportError:
        return "torchao is not installed"
    is_cuda = transformer.proj_in.weight.device.type == "cuda"
    if is_cuda and torch.cuda.get_device_capability() < (8, 9):
        return "this GPU multiplies no 8-bit floats"
    config = torchao.Float8DynamicActivationFloat8WeightConfig() if is_cuda else torchao.Float8WeightOnlyConfig()

    def is_large(layer: Any, name: str) -> bool:
        in_blocks = isinstance(layer, torch.nn.Linear) and "transformer_blocks" in name
        return in_blocks and layer.in_features % 16 == 0 and layer.out_features % 16 == 0

    torchao.quantize_(transformer, config, filter_fn=is_large)
    return None


class Clock:
    """Measures ways until the time is over."""

    def __init__(self, device: torch.device, seconds: float) -> None:
        self._cuda = device.type == "cuda"
        self._end = time.monotonic() + seconds

    def is_over(self, share: float = 1.0, whole: float = 0.0) -> bool:
        """Whether all but ``1 - share`` of the ``whole`` seconds is gone."""
        return time.monotonic() > self._end - (1 - share) * whole

    def run(self, way: Way, wardrobe: Wardrobe, *, counts: bool = True) -> torch.Tensor:
        """One step, measured."""
        wardrobe.wear(way.worn)
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.synchronize()
        begun = time.perf_counter()
        with torch.inference_mode():
            made = way.step().float()
        if self._cuda:
            torch.cuda.synchronize()
            way.peak_bytes = torch.cuda.max_memory_allocated()
        if counts:
            way.seconds.append(time.perf_counter() - begun)
        return made


def measured(step: Step, clock: Clock, turns: int, seconds: float) -> tuple[dict[str, Way], dict[str, str]]:
    """All ways in turns; then fp8 with what was fastest, by itself."""
    wardrobe = Wardrobe(step.transformer)
    ways, left = ways_of(step)
    right: torch.Tensor | None = None
    for name in list(ways):  # the first call compiles, and tells the difference
        if clock.is_over(0.6, seconds):
            left[name] = "there was no time left"
            del ways[name]
            continue
        made = clock.run(ways[name], wardrobe, counts=False)
        right = made if right is None else right
        ways[name].difference = float((made - right).norm() / right.norm())
    for turn in range(turns):
        if ways[STOCK].seconds and clock.is_over(0.8, seconds):
            break
        names = list(ways)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            clock.run(ways[name], wardrobe)
    assert right is not None
    fastest = min(ways, key=lambda name: median(ways[name].seconds))
    wardrobe.wear(ways[STOCK].worn)
    reason = "there was no time left" if clock.is_over(0.85, seconds) else to_fp8(step.transformer)
    if reason:
        left["fp8"] = reason
        return ways, left
    way = ways[f"fp8, {fastest}"] = Way(ways[fastest].step, ways[fastest].worn)
    made = clock.run(way, wardrobe, counts=False)
    way.difference = float((made - right).norm() / right.norm())
    for _ in range(max(1, turns // 2)):
        clock.run(way, wardrobe)
    return ways, left


def figures(ways: dict[str, Way]) -> dict[str, dict[str, Any]]:
    """For each way: seconds a step with their middle half, times as fast as stock and as what was needed, bytes, difference."""
    found = {}
    for name, way in ways.items():
        middle = median(way.seconds)
        low, _, high = quantiles(way.seconds, n=4) if len(way.seconds) > 1 else (middle,) * 3
        found[name] = {
            "seconds": middle,
            "middle half": [low, high],
            "to stock": median(ways[STOCK].seconds) / middle,
            "to stock without its no-op pass": median(ways[NEEDED].seconds) / middle,
            "peak bytes": way.peak_bytes,
            "difference": way.difference,
        }
    return found


def report_of(ways: dict[str, Way], left: dict[str, str], step: Step) -> dict[str, Any]:
    """What is told, as every benchmark of the studio tells it."""
    found, device = figures(ways), step.video.device
    eager = "kept rotary tables" if "kept rotary tables" in found else NEEDED
    faster = [found[name]["seconds"] for name in ("fused kernels", "compiled blocks") if name in found]
    best = found[eager]["seconds"] / min(faster) if faster else 0.0
    tokens = f"{step.video.shape[1]} + {step.audio.shape[1]} tokens, {step.size.text} of text"
    is_cuda = device.type == "cuda"
    name = torch.cuda.get_device_name() if is_cuda else platform.machine()
    return {
        "claim": "fused kernels or compiled blocks make a guided step of LTX-2 at least 1.45 times as fast on a CUDA GPU",
        "figure": best if is_cuda else "none: on a CPU this shows only that the path works",
        "gate": GATE if is_cuda else "none on a CPU",
        "pass": best >= GATE if is_cuda else len(found) > 2,
        "baseline": {"kernels": f"{eager}, eager", "all": [STOCK, NEEDED]},
        "machine": f"{name}, torch {torch.__version__}",
        "shape": f"layout {step.layout}, {step.size.layers} layers, {tokens}",
        "ways": found,
        "left out": left,
        "weights": "random: seconds and bytes are valid, quality is not",
    }


def main() -> int:
    """Print the figures; 1 below the gate, 2 without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="a size for a CPU")
    parser.add_argument("--layout", default="2.3", choices=("2.0", "2.3"))
    parser.add_argument("--layers", type=int, default=0, help="fewer than there are, for less memory than 48 GB")
    parser.add_argument("--minutes", type=float, default=9.0, help="it ends within")
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print(
            "gpu.py measures on a CUDA GPU and torch finds none here; --device cpu --tiny only tries the path.", file=sys.stderr
        )
        return 2
    if options.device == "cpu" and not options.tiny:
        parser.error("--device cpu needs --tiny: at full size a step takes hours on a CPU")
    logging.set_verbosity_error()
    size = TINY if options.tiny else Size(layers=options.layers or Size.layers)
    seconds, device = 60 * options.minutes, torch.device(options.device)
    clock = Clock(device, seconds)
    step = Step(transformer_of(size, options.layout, device), size, options.layout)
    report = report_of(*measured(step, clock, 3 if options.quick else 8, seconds), step)
    if options.json:
        print(json.dumps(report))
    else:
        for name, each in report["ways"].items():
            found = f"{each['seconds']:.4f} s, {each['to stock']:.2f} times, {each['peak bytes'] / 1e9:.1f} GB"
            print(f"{name:34} {found}, difference {each['difference']:.1e}")
        for name, reason in report["left out"].items():
            print(f"{name:34} left out: {reason}")
        print(f"{report['shape']}; {report['machine']}: {'pass' if report['pass'] else 'FAIL'}")
    return 0 if report["pass"] else 1


if __name__ == "__main__":
    sys.exit(main())
