"""Claim: a clip shared out to several ranks equals that of one process, and sends exactly the bytes that the formula says.

    python benchmarks/parallel.py [--quick] [--json]

Two gloo processes on this machine's cores, twins of the real classes in fp32, three steps with all guidances, an odd number of
tokens. Then the cost model against published tables, and what it projects for LTX-2 on 2 to 16 GPUs, which nobody has measured
here. Exits 1 where a difference or a byte is off, a published figure is missed by more than 10 %, or a projection is above the
number of GPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from pipelines.conditioning import encode_prompt
from pipelines.guidance import Branch, Guidance, Scales
from pipelines.lora.stack import LoraStack
from pipelines.models.ltx2 import twin
from pipelines.models.ltx2.latents import Canvas
from pipelines.models.ltx2.load import LTX2Model, load
from pipelines.optimize.memory import PLENTY
from pipelines.optimize.parallel.branches import prefix_of, share_out
from pipelines.optimize.parallel.cost import NVLINK, PCIE, Choice, Machine, Task, Weights, choose
from pipelines.optimize.parallel.group import Group
from pipelines.optimize.parallel.layout import Layout
from pipelines.optimize.parallel.traffic import Shape, Stream, step_bytes
from pipelines.optimize.plan import Plan
from pipelines.optimize.tiling import Decoding, decode, plan_if_needed, put, tile_shape
from pipelines.passes import Latents, Passes, Steering
from pipelines.registry import spec_from_folder
from pipelines.sampling import Course, denoise, noise, schedule

LARGEST_DIFFERENCE = 1e-5
LARGEST_ERROR = 0.10
TWIN = twin.TwinSize(heads=4)
SIZE: dict[str, Any] = dict(height=64, width=160, num_frames=25, frame_rate=24.0)  # 40 + 26 tokens; three ranks get 14, 13, 13
GUIDANCE = Guidance(Scales(3.0, 1.0, 2.5, 0.7), Scales(7.0, 0.5, 3.0, 0.4), (1,))
STEPS, SEED = 3, 7
KINDS = {
    "guidance branches": Layout(branches=2),
    "Ulysses": Layout(ulysses=2),
    "ring": Layout(ring=2),
    "feed-forward": Layout(tensor=2),
}


@contextmanager
def gathered(folder: Path, size: int, tensor: int = 1, plan: Plan | None = None) -> Iterator[tuple[LTX2Model, Group]]:
    """A model of this process and ``size`` ranks that hold it."""
    spec = spec_from_folder("twin", folder)
    plan = plan or Plan()
    group = Group(spec, ["cpu"] * size, tensor, plan=plan)
    try:
        model = load(spec, torch.device("cpu"), plan=plan)
        group.meet(model)
        yield model, group
    finally:
        group.close()


def steering_of(model: LTX2Model, guidance: Guidance = GUIDANCE) -> Steering:
    """Two prompts and every guidance."""
    return Steering(encode_prompt(model, "a red ball bouncing on grass"), encode_prompt(model, "blurry"), guidance=guidance)


def denoised(passes: Passes, steps: int = STEPS) -> Latents:
    """The clip's latents from the seed's noise."""
    start = noise(passes.model, passes.canvas, SEED)
    run = denoise(Course(passes, start, schedule(passes.model, start.video_BND.shape[1], steps=steps, sigmas=None)))
    while True:
        try:
            next(run)
        except StopIteration as finished:
            return finished.value


def shared(model: LTX2Model, group: Group, layout: Layout | None, steering: Steering) -> tuple[Latents, int, int]:
    """The same by a group, the bytes that were sent for it, and those that the formula says."""
    canvas = Canvas.of(model, **SIZE)
    before = group.sent_bytes()
    alone = Passes(model, canvas, steering)
    with group.passes(alone, LoraStack(model.transformer, []), layout) as passes:
        made = denoised(passes)
    sent = group.sent_bytes() - before
    wanted = frozenset({Branch.POSITIVE, *steering.guidance.branches})
    shares = share_out(wanted, layout.branches, prefix_of(alone)) if layout else ()
    return made, sent, STEPS * step_bytes(layout, Shape.of(alone), shares) if layout else sent


def difference(made: Latents, expected: Latents) -> float:
    """Relative L2 of the stream that is further away."""
    pairs = ((made.video_BND, expected.video_BND), (made.audio_BND, expected.audio_BND))
    return max(float((one - other).norm() / other.norm()) for one, other in pairs)


def kinds() -> dict[str, dict[str, Any]]:
    """Each kind of sharing out beside one process."""
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        twin.build("2.3", TWIN).save_pretrained(folder)
        model = load(spec_from_folder("twin", folder), torch.device("cpu"))
        steering = steering_of(model)
        expected = denoised(Passes(model, Canvas.of(model, **SIZE), steering))
        for tensor in (1, 2):
            with gathered(folder, 2, tensor) as (split, group):
                for name, layout in KINDS.items():
                    if layout.tensor == tensor:
                        made, sent, formula = shared(split, group, layout, steering)
                        figures[name] = {"difference": difference(made, expected), "sent_bytes": sent, "formula_bytes": formula}
                if tensor == 1:
                    figures["decoding"] = tiles(split, group)
                else:
                    figures["text encoder"] = texts(split, group, model)
    return figures


def texts(split: LTX2Model, group: Group, whole: LTX2Model) -> dict[str, Any]:
    """A text that two ranks encode together, each with half of the encoder's feed-forwards, beside one process."""
    before = group.sent_bytes()
    made, expected = (each.tensors() for each in (group.encode("a bee, buzzing"), encode_prompt(whole, "a bee, buzzing")))
    streams = ("video_BSD", "audio_BSD")
    away = max(float((made[name] - expected[name]).norm() / expected[name].norm()) for name in streams)
    config = split.text.text_encoder.config.get_text_config()
    formula = 4 * 2 * split.max_prompt_tokens * config.hidden_size * config.num_hidden_layers
    return {"difference": away, "sent_bytes": group.sent_bytes() - before, "formula_bytes": formula}


def tiles(model: LTX2Model, group: Group) -> dict[str, Any]:
    """A picture decoded in two tiles by two ranks, beside the same tiles by one; number 1 sends its pixels."""
    torch.manual_seed(SEED)
    latents = torch.randn(1, TWIN.latent_channels, 3, 4, 30)
    plan = plan_if_needed(model.vae.decoder, latents, PLENTY.step_bytes, None, ranks=2)
    assert plan is not None, "two tiles of so wide a picture are worth it"
    work, before = Decoding(latents, None, plan, ()), group.sent_bytes()
    pictures = [torch.zeros(1, 3, 17, 128, 960) for _ in range(2)]
    for picture, parts in zip(pictures, (group.decode(model.vae, work), decode(model.vae, latents, None, plan)), strict=True):
        for part in parts:
            put(part, picture, lambda pixels: pixels)
    away = float((pictures[0] - pictures[1]).norm() / pictures[1].norm())
    formula = 4 * prod(tile_shape(model.vae, work, 1))
    return {"difference": away, "sent_bytes": group.sent_bytes() - before, "formula_bytes": formula}


@dataclass(frozen=True)
class Table:
    """Published seconds of one clip on 1 and more GPUs; ``serial_s`` of them (text, decoding) are not shared out."""

    name: str
    source: str
    shape: Shape
    branches: frozenset[Branch]
    steps: int
    machine: Machine
    serial_s: float
    rows: tuple[tuple[Layout, float], ...]

    def predicted(self) -> list[tuple[Layout, float, float]]:
        """Layout, published and predicted seconds of all rows but the first, which says how fast one GPU is."""
        alone = self.rows[0][1] - self.serial_s
        task = Task(self.shape, self.branches, self.machine)
        speed = self.machine.flops * self.steps * task.cost(Layout()).compute_s / alone
        task = replace(task, machine=replace(self.machine, flops=speed))
        return [(each, told, self.serial_s + self.steps * task.cost(each).seconds) for each, told in self.rows[1:]]


def _picture(tokens: int, width: int, blocks: int, heads: int, text: int) -> Shape:
    """A model without sound."""
    return Shape(Stream(tokens, width, 16), Stream(0, 0, 0), blocks, heads, heads, 2, text)


_XDIT = "https://github.com/xdit-project/xDiT/blob/main/docs/performance/hunyuanvideo.md"
# 129 frames are 33 x 45 x 80 tokens at 1280x720 and 33 x 60 x 60 at 960x960; 20 + 40 blocks of width 3072 with 24 heads.
_HUNYUAN = _picture(118_800, 3072, 60, 24, 256)
# The table says 40 steps; size and frames are Wan's own default, 1280x720 and 81 frames: 21 x 45 x 80 tokens.
_WAN = _picture(75_600, 5120, 40, 40, 512)
_ONE, _BOTH = frozenset({Branch.POSITIVE}), frozenset({Branch.POSITIVE, Branch.NEGATIVE})
# Fitted, one for all six tables of HunyuanVideo: seconds of text encoding and of decoding 129 frames, which no rank shares.
_SERIAL_S = 80.0


def _hunyuan(card: str, size: str, machine: Machine, seconds: dict[int, float]) -> Table:
    rows = tuple((Layout(ulysses=count), told) for count, told in seconds.items())
    return Table(f"xDiT HunyuanVideo {size}, {card}", _XDIT, _HUNYUAN, _ONE, 50, machine, _SERIAL_S, rows)


TABLES = (
    _hunyuan("H100", "1280x720", NVLINK, {1: 1904.08, 2: 925.04, 4: 514.08, 8: 337.58}),
    _hunyuan("H20", "1280x720", NVLINK, {1: 6639.17, 2: 3400.55, 4: 1762.86, 8: 940.97}),
    _hunyuan("L20", "1280x720", PCIE, {1: 6043.88, 2: 3271.44, 4: 2080.05}),
    _hunyuan("H100", "960x960", NVLINK, {1: 1735.01, 2: 934.09, 3: 645.45, 6: 367.02}),
    _hunyuan("H20", "960x960", NVLINK, {1: 6621.46, 2: 3400.55, 3: 2310.48, 6: 1214.67}),
    _hunyuan("L20", "960x960", PCIE, {1: 6039.08, 2: 3260.62, 3: 2284.74}),
    Table(
        "TensorRT-LLM Wan 2.2 14B, GB200",
        "https://github.com/NVIDIA/TensorRT-LLM/pull/13821",
        _WAN,
        _BOTH,
        40,
        NVLINK,
        0.0,
        (
            (Layout(), 348.40),
            (Layout(branches=2), 174.00),
            (Layout(branches=2, ulysses=2), 95.89),
            (Layout(branches=2, ulysses=4), 48.06),
            (Layout(branches=2, ulysses=4, ring=2), 25.60),
        ),
    ),
)


def published() -> list[dict[str, Any]]:
    """Every figure of the tables beside its prediction."""
    return [
        {"table": table.name, "layout": str(layout), "gpus": layout.size, "published_s": told, "predicted_s": round(guess, 1),
         "error": guess / told - 1, "source": table.source}
        for table in TABLES
        for layout, told, guess in table.predicted()
    ]  # fmt: skip


def ltx(frames: int, height: int, width: int) -> Shape:
    """LTX-2's transformer and a clip of so many frames at 24 a second."""
    tokens = ((frames - 1) // 8 + 1) * (height // 32) * (width // 32)
    sound = Stream(round(frames / 24 * 25), 2048, 128)
    return Shape(Stream(tokens, 4096, 128), sound, 48, 32, 32, 2, 1024, perturbed_from=28, perturbed_blocks=1)


def projected() -> dict[str, dict[int, Choice]]:
    """What the model says of LTX-2 with all guidances on H100s over NVLink and on PCIe cards."""
    clips = {"768x512, 121 frames": ltx(121, 512, 768), "1920x1088, 121 frames": ltx(121, 1088, 1920)}
    weights = Weights(total=38e9, feed_forward=15e9)
    machines = {"H100, NVLink": replace(NVLINK, memory_bytes=80e9), "L20-class, PCIe": replace(PCIE, memory_bytes=48e9)}
    return {
        f"{clip}, {name}": {
            count: choose(Task(shape, frozenset(Branch), machine, weights), count, (1, 2, 4)) for count in (2, 4, 8, 16)
        }
        for clip, shape in clips.items()
        for name, machine in machines.items()
    }


def main() -> int:
    """Print the figures; 1 when one misses its gate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the same: there is nothing to leave out")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    figures, told, ahead = kinds(), published(), projected()
    worst = max(abs(each["error"]) for each in told)
    exact = all(
        each["difference"] <= LARGEST_DIFFERENCE and each["sent_bytes"] == each["formula_bytes"] for each in figures.values()
    )
    honest = all(choice.speedup <= count for table in ahead.values() for count, choice in table.items())
    report = {
        "claim": "relative L2 to one process in fp32, bytes sent, and error of the cost model on published tables",
        "figure": {"difference": max(each["difference"] for each in figures.values()), "published_error": worst},
        "gate": {"difference": LARGEST_DIFFERENCE, "published_error": LARGEST_ERROR},
        "pass": exact and worst <= LARGEST_ERROR and honest,
        "baseline": "one process with the same weights; the published tables",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, gloo",
        "shape": f"twin of 3 blocks, 40 + 26 tokens, {STEPS} steps, 4 branches",
        "kinds": figures,
        "published": told,
        "projected": {
            name: {count: {"layout": str(c.layout), "speedup": c.speedup, "why": c.why} for count, c in table.items()}
            for name, table in ahead.items()
        },
    }
    print(json.dumps(report) if options.json else _readable(report))
    return 0 if report["pass"] else 1


def _readable(report: dict[str, Any]) -> str:
    lines = [
        f"{name:18} relative L2 {each['difference']:.1e}; {each['sent_bytes']} bytes sent, {each['formula_bytes']} by the formula"
        for name, each in report["kinds"].items()
    ]
    lines += [
        f"{each['table']:36} {each['layout']:28} {each['published_s']:8.1f} s published, {each['predicted_s']:8.1f} s predicted, "
        f"{each['error']:+.1%}"
        for each in report["published"]
    ]
    for name, table in report["projected"].items():
        lines.append(f"PROJECTED, not measured: LTX-2, {name}")
        lines += [f"  {count:2} GPUs: {each['speedup']:5.2f}x  {each['why']}" for count, each in table.items()]
    lines.append(f"{report['shape']}; {report['machine']}: {'pass' if report['pass'] else 'FAIL'}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
