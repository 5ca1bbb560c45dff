"""Claim: a clip's latents are kept in a sixth of their bytes at most, and what is decoded from them is as good as before.

    python benchmarks/latents.py [--quick] [--json]

Clips of the procedural world, encoded by the embedded model and kept by the real store. Figures: bytes of the latents in
float32 and in bfloat16 through the bytes of the whole file, also for latents that the model made from prompts (whose files the
engine writes); and how many dB of PSNR against the rendered clip are lost by
decoding what was kept instead of the exact latents: of the picture over its pixels, of the sound over its log-mel spectrogram
(as the audio decoder gives it), each from the mean squared error over all clips. Beside them the PSNR of kept against exact,
the same with bfloat16 as the only loss, and with LZMA alone. Exits 1 below a gate.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch

from pipelines.clip_io import Sound
from pipelines.contract import Done, GenerationRequest
from pipelines.engine import Engine
from pipelines.mel import log_mel
from pipelines.models.ltx2.decode import decode_video
from pipelines.models.ltx2.encode import encode_frames, encode_sound, mel_of
from pipelines.models.ltx2.latents import Canvas, denormalize_audio, unpack_audio
from pipelines.models.ltx2.load import LTX2Model, load
from pipelines.optimize.latent_store import LatentStore, beside
from pipelines.passes import Latents
from pipelines.registry import ModelCatalogue
from pipelines.world import WorldClip, make_clip, sample

LEAST_RATIO = {"float32": 6.0, "bfloat16": 3.0}
MOST_LOST_DB = 0.3
SIZE: dict[str, Any] = {"height": 128, "width": 128, "num_frames": 25, "frame_rate": 12.0}


def world(count: int) -> Iterator[WorldClip]:
    """Random scenes, always the same."""
    for seed in range(count):
        yield make_clip(sample(np.random.default_rng(7000 + seed)), num_frames=SIZE["num_frames"], size=SIZE["height"])


@dataclass(frozen=True)
class Seen:
    """What the decoders make of latents: pixels 0..1 and the log-mel spectrogram."""

    pixels: torch.Tensor
    mel: torch.Tensor


@dataclass(frozen=True)
class Codec:
    """The embedded model's encoders and decoders, as the engine uses them."""

    model: LTX2Model
    canvas: Canvas

    def latents(self, clip: WorldClip) -> Latents:
        """Of a rendered clip."""
        sound = Sound(clip.waveform[None], 16_000)
        return Latents(encode_frames(self.model, clip.frames), encode_sound(self.model, sound, self.canvas))

    @torch.inference_mode()
    def seen(self, latents: Latents) -> Seen:
        """Decoded."""
        bins = self.model.audio_vae.config.mel_bins // self.model.audio_vae.mel_compression_ratio
        sound = unpack_audio(denormalize_audio(self.model, latents.audio_BND), bins)
        mel = self.model.audio_vae.decode(sound, return_dict=False)[0]
        return Seen(decode_video(self.model, latents.video_BND, self.canvas), mel)

    def truth(self, clip: WorldClip, like: Seen) -> Seen:
        """The rendered clip itself."""
        mel = log_mel(torch.from_numpy(clip.waveform)[None], mel_of(self.model), like.mel.shape[2])
        return Seen(torch.from_numpy(clip.frames).float() / 255, mel)


def errors(one: Seen, other: Seen) -> np.ndarray:
    """Mean squared errors of picture and sound."""
    pairs = ((one.pixels, other.pixels), (one.mel, other.mel))
    return np.array([float((a.double() - b.double()).square().mean()) for a, b in pairs])


@dataclass
class Sums:
    """Over all clips: squared errors of picture and sound by what was decoded, losses a clip, bytes, seconds."""

    errors: dict[str, np.ndarray]
    lost_db: list[np.ndarray]
    mel_range: float = 0.0
    numbers: int = 0
    written: int = 0
    lzma_alone: int = 0
    put_s: float = 0.0
    get_s: float = 0.0

    def add(self, codec: Codec, clip: WorldClip, exact: Latents, kept: Latents) -> None:
        """What was lost of one clip."""
        half = Latents(exact.video_BND.bfloat16().float(), exact.audio_BND.bfloat16().float())
        before, after = codec.seen(exact), codec.seen(kept)
        truth = codec.truth(clip, before)
        each = {name: errors(seen, truth) for name, seen in (("exact", before), ("kept", after), ("bfloat16", codec.seen(half)))}
        each["kept_against_exact"] = errors(before, after)
        self.errors = {name: self.errors.get(name, np.zeros(2)) + error for name, error in each.items()}
        self.lost_db.append(10 * np.log10(each["kept"] / each["exact"]))
        self.mel_range = max(self.mel_range, float(truth.mel.max() - truth.mel.min()))
        self.numbers += exact.video_BND.numel() + exact.audio_BND.numel()
        raw = exact.video_BND.numpy().tobytes() + exact.audio_BND.numpy().tobytes()
        self.lzma_alone += len(lzma.compress(raw, preset=9))

    def figures(self) -> dict[str, Any]:
        """By name."""
        count, streams = len(self.lost_db), ("picture", "sound")
        peaks = np.array([1.0, self.mel_range])
        psnr = {name: 10 * np.log10(peaks**2 * count / error) for name, error in self.errors.items()}
        return {
            "ratio": {"float32": 4 * self.numbers / self.written, "bfloat16": 2 * self.numbers / self.written},
            "lost_db": dict(zip(streams, (psnr["exact"] - psnr["kept"]).tolist(), strict=True)),
            "lost_db_worst_clip": dict(zip(streams, np.max(self.lost_db, axis=0).tolist(), strict=True)),
            "psnr_db": {name: dict(zip(streams, each.tolist(), strict=True)) for name, each in psnr.items()},
            "ratio_of_lzma_alone": 4 * self.numbers / self.lzma_alone,
            "bytes_a_clip": self.written / count,
            "ms": {"put": 1000 * self.put_s / count, "get": 1000 * self.get_s / count},
        }


def measured(count: int) -> dict[str, Any]:
    """Ratios and losses over ``count`` clips."""
    model = load(ModelCatalogue.with_folders({}).get("pocket"), torch.device("cpu"))
    codec, store, sums = Codec(model, Canvas.of(model, **SIZE)), LatentStore(), Sums({}, [])
    request = GenerationRequest(prompt="the world", model="pocket", **SIZE)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        store.put(Path(folder) / "first.mp4", model, codec.latents(next(world(1))), request)
        first_s = time.perf_counter() - begin  # the steps of the model are worked out with its first clip
        for at, clip in enumerate(world(count)):
            exact, path = codec.latents(clip), Path(folder) / f"{at}.mp4"
            begin = time.perf_counter()
            sums.written += store.put(path, model, exact, request)
            sums.put_s += time.perf_counter() - begin
            begin = time.perf_counter()
            found = store.get(path, model.sha256)
            sums.get_s += time.perf_counter() - begin
            assert found is not None and found.video_BND is not None and found.audio_BND is not None
            sums.add(codec, clip, exact, Latents(found.video_BND, found.audio_BND))
    figures = sums.figures()
    figures["ms"]["first_put"] = 1000 * first_s
    return figures


def made(count: int) -> dict[str, float]:
    """The ratios for clips that the engine makes of the model's example prompts."""
    catalogue = ModelCatalogue.with_folders({})
    examples, numbers, written = catalogue.get("pocket").examples, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(catalogue, media_dir=Path(folder), device="cpu", latents=LatentStore())
        for at in range(count):
            request = catalogue.complete(GenerationRequest(prompt=examples[at % len(examples)], seed=at, model="pocket"))
            path = Path(folder) / f"{at}.mp4"
            *_, done = engine.run(request, path)
            assert isinstance(done, Done)
            found = LatentStore().get(path, done.result.model_sha256)
            assert found is not None and found.video_BND is not None and found.audio_BND is not None
            numbers += found.video_BND.numel() + found.audio_BND.numel()
            written += beside(path).stat().st_size
    return {"float32": 4 * numbers / written, "bfloat16": 2 * numbers / written}


def main() -> int:
    """Print the figures; 1 when one misses its gate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 clips instead of 60")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    count = 20 if options.quick else 60
    found = measured(count) | {"ratio_of_made": made(count // 5)}
    ratios = (found["ratio"], found["ratio_of_made"])
    small = all(ratio[name] >= least for ratio in ratios for name, least in LEAST_RATIO.items())
    good = small and max(found["lost_db"].values()) <= MOST_LOST_DB
    report = {
        "claim": "bytes of latents through those of the kept file, and dB of PSNR against the render lost by it",
        "figure": {name: found[name] for name in ("ratio", "ratio_of_made", "lost_db")},
        "gate": {"ratio": LEAST_RATIO, "lost_db": MOST_LOST_DB},
        "pass": good,
        "baseline": "the exact latents in float32 and in bfloat16",
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "shape": f"{count} clips of the world, {SIZE['num_frames']} frames of {SIZE['width']}, with sound",
        **found,
    }
    if options.json:
        print(json.dumps(report))
    else:
        for name, each in found.items():
            print(f"{name}: {each}")
        print(f"{report['shape']}; {report['machine']}: {'pass' if good else 'FAIL'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
