"""Pictures of a report: contact sheets, spectrograms with events, curves; embedded images and SVG, without a plotting library."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import librosa
import numpy as np
from PIL import Image

_SHEET_FRAMES = 7
_SHEET_HEIGHT = 96
_WIDTH, _HEIGHT = 640, 110
# From black over purple and orange to pale yellow, each lighter than the last, so that it reads in grey as well.
_HEAT = np.array(((4, 4, 16), (60, 15, 110), (150, 40, 110), (230, 90, 60), (252, 180, 80), (252, 250, 190)), np.float64)


@dataclass(frozen=True)
class Marks:
    """Moments in seconds to draw into a spectrogram, with what they are and a CSS class for their colour."""

    name: str
    kind: str
    times_s: tuple[float, ...]


@dataclass(frozen=True)
class Curve:
    """One value a frame to draw over a spectrogram, with what it is and a CSS class for its colour."""

    name: str
    kind: str
    values: tuple[float, ...]


def contact_sheet(frames_FHWC: np.ndarray) -> str:
    """A row of frames ``[F, H, W, 3]`` uint8, evenly spread in time, as a data URL."""
    chosen = np.linspace(0, len(frames_FHWC) - 1, _SHEET_FRAMES).round().astype(int)
    row = Image.fromarray(np.concatenate(list(frames_FHWC[chosen]), axis=1))
    row = row.resize((round(row.width * _SHEET_HEIGHT / row.height), _SHEET_HEIGHT), Image.Resampling.LANCZOS)
    return _data_url(row)


def spectrogram(waveform_N: np.ndarray, sample_rate: int, marks: Sequence[Marks], curves: Sequence[Curve] = ()) -> str:
    """Mel bands over time as SVG, low tones below, every mark a line with its name, curves over the whole height."""
    mel = librosa.feature.melspectrogram(y=waveform_N, sr=sample_rate, n_fft=1024, hop_length=128, n_mels=64)
    shade = np.clip(librosa.power_to_db(mel + 1e-10, ref=1.0, top_db=None) / 80 + 0.75, 0, 1)[::-1]
    steps = np.linspace(0, 1, len(_HEAT))
    colours = np.stack([np.interp(shade, steps, _HEAT[:, channel]) for channel in range(3)], axis=-1).astype(np.uint8)
    picture = _data_url(Image.fromarray(colours).resize((_WIDTH, _HEIGHT), Image.Resampling.BILINEAR))
    duration_s = len(waveform_N) / sample_rate
    lines = "".join(_mark(mark, level, duration_s) for level, mark in enumerate(marks))
    lines += "".join(_over(curve, level) for level, curve in enumerate(curves))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="spectrogram with events">'
        f'<image href="{picture}" width="{_WIDTH}" height="{_HEIGHT}"/>{lines}</svg>'
    )


def _mark(mark: Marks, level: int, duration_s: float) -> str:
    """Each kind of mark has its own third of the height, so that equal times do not hide each other."""
    top = level * _HEIGHT / 3
    parts = []
    for time_s in mark.times_s:
        x = _WIDTH * time_s / duration_s
        parts.append(f'<line class="{mark.kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.0f}" y2="{top + _HEIGHT / 3:.0f}"/>')
    parts.append(f'<text class="{mark.kind}" x="4" y="{top + 12:.0f}">{escape(mark.name)}</text>')
    return "".join(parts)


def _over(curve: Curve, level: int) -> str:
    """A curve scaled to its own highest value."""
    highest = max((*curve.values, 1e-6))
    step = _WIDTH / max(1, len(curve.values))
    points = " ".join(f"{at * step:.1f},{_HEIGHT * (0.97 - 0.9 * value / highest):.1f}" for at, value in enumerate(curve.values))
    name = f'<text class="{curve.kind}" x="4" y="{12 + 14 * level}">{escape(curve.name)}</text>'
    return f'<polyline class="{curve.kind}" points="{points}"/>{name}'


def bar(value: float, marks: Iterable[tuple[str, float]], most: float = 1.0) -> str:
    """A bar from 0 to ``most`` as SVG; ``marks`` are CSS classes and where their ticks are."""
    width = 100 * min(1.0, max(0.0, value / most))
    ticks = "".join(
        f'<line class="{kind}" x1="{100 * min(at / most, 1):.1f}" x2="{100 * min(at / most, 1):.1f}" y1="0" y2="12"/>'
        for kind, at in marks
    )
    return (
        f'<svg class="bar" viewBox="0 0 100 12" preserveAspectRatio="none"><rect width="{width:.1f}" height="12"/>{ticks}</svg>'
    )


def loss_curves(folder: Path) -> dict[str, str]:
    """By stage, the loss over minutes of every ``*.log.jsonl`` in ``folder`` as SVG; none where there is no log."""
    curves = {}
    for file in sorted(folder.glob("*.log.jsonl")):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        points = [(float(row["minutes"]), float(row["losses"]["loss"])) for row in rows if "loss" in row.get("losses", {})]
        if len(points) >= 2:
            curves[file.name.removesuffix(".log.jsonl")] = _curve(points)
    return curves


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """Raw values pale and their running mean strong; the loss on a logarithmic axis."""
    minutes, losses = np.array(points).T
    logarithm = np.log(np.maximum(losses, 1e-6))
    smooth = [float(logarithm[max(0, at - 4) : at + 5].mean()) for at in range(len(logarithm))]
    low, high = float(logarithm.min()), float(logarithm.max())
    x = 40 + 350 * minutes / minutes.max()

    def path(values: Sequence[float] | np.ndarray) -> str:
        y = 130 - 115 * (np.asarray(values) - low) / max(high - low, 1e-9)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))

    return (
        f'<svg viewBox="0 0 400 150"><polyline class="raw" points="{path(logarithm)}"/>'
        f'<polyline class="smooth" points="{path(smooth)}"/>'
        f'<text x="2" y="18">{np.exp(high):.3g}</text><text x="2" y="132">{np.exp(low):.3g}</text>'
        f'<text x="390" y="148" text-anchor="end">{minutes.max():.0f} min</text></svg>'
    )


def _data_url(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"
