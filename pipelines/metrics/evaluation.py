"""The evaluation: clips of held-out captions, measured as a stranger would see them, beside what perfect clips would score.

Every caption is carried out three times: rendered into a file (``renders``), rendered and sent through the model's codecs
into a file (``ceiling``), and made by the model (``model``). All three are measured alike, on the finished files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.contract import Done, GenerationRequest
from pipelines.engine import Engine, code_version
from pipelines.metrics.ceiling import restore, save, sound_of
from pipelines.metrics.figures import Evidence, Figure, figures
from pipelines.metrics.readers import CLASSES, shown
from pipelines.metrics.reading import ClipReading, read_clip
from pipelines.metrics.scores import SYNC_MEASURES, ClipPair
from pipelines.metrics.selection import FIRST_SEED, Asked, select
from pipelines.registry import ModelCatalogue
from pipelines.world import WorldClip, events, make_clip
from pipelines.world.scene import sound_class

SETS = ("renders", "ceiling", "model")


@dataclass(frozen=True)
class ClipRecord:
    """One caption and its three files: what was asked and read by attribute, what was heard, and the times in seconds.

    ``truth_s`` are the world's own contacts or beats; they describe the renders and the ceiling, not the model's clip. Of
    speaking clips ``mouth`` and ``loudness`` have a value a frame, of others none.
    """

    prompt: str
    kind: str
    seed: int
    is_unseen: bool
    files: dict[str, str]
    asked: dict[str, tuple[str, ...]]
    read: dict[str, tuple[str, ...]]
    seen_s: dict[str, tuple[float, ...]]
    heard_s: dict[str, tuple[float, ...]]
    mouth: dict[str, tuple[float, ...]]
    loudness: dict[str, tuple[float, ...]]
    truth_s: tuple[float, ...]
    agreement: float | None


@dataclass(frozen=True)
class Report:
    """All figures of one model, and everything needed to make them again."""

    model: str
    model_sha256: str
    code_version: str
    clips: int
    seed: int
    seeds: str
    seconds: float
    figures: tuple[Figure, ...]
    records: tuple[ClipRecord, ...]

    @property
    def passed(self) -> bool:
        """Whether every floor and every control holds."""
        return all(figure.holds for figure in self.figures)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON takes it."""
        shown_figures = [asdict(figure) | {"share": figure.share, "holds": figure.holds} for figure in self.figures]
        return asdict(self) | {"figures": shown_figures, "passed": self.passed}


@dataclass(frozen=True)
class Evaluation:
    """What to measure: a model of ``ModelCatalogue``, on how many clips, from which seed."""

    model: str = "pocket"
    clips: int = 200
    seed: int = 0
    device: str = "auto"


def evaluate(
    work: Evaluation,
    folder: Path,
    tell: Callable[[str], None] = lambda line: None,
    catalogue: ModelCatalogue | None = None,
) -> Report:
    """Make and measure the clips in ``folder``; ``tell`` hears a line now and then. ``catalogue``: not the installed models.

    Raises ``InvalidRequest`` for too few clips or a model that was not trained on the world, ``ModelNotFound`` for an
    unknown one, and what the engine raises.
    """
    begun = time.monotonic()
    asked = select(work.clips, work.seed)
    catalogue = catalogue or ModelCatalogue.with_folders({})
    catalogue.get(work.model)
    engine = Engine(catalogue, media_dir=folder, device=work.device)
    sound_of(engine.model(work.model))
    sets: dict[str, list[ClipPair]] = {name: [] for name in SETS}
    losses = []
    for index, (each, readings, loss) in enumerate(_carry_out(work.model, asked, engine, catalogue, folder), start=1):
        losses.append(loss)
        for name, reading in readings.items():
            sets[name].append(ClipPair(each, reading))
        if index % 10 == 0 or index == len(asked):
            tell(f"{index} of {len(asked)} clips, {time.monotonic() - begun:.0f} s")
    psnr_db, mel_distance = (float(np.mean(values)) for values in zip(*losses, strict=True))
    first = FIRST_SEED + 100_000 * work.seed
    return Report(
        model=work.model,
        model_sha256=engine.model(work.model).sha256,
        code_version=code_version(),
        clips=work.clips,
        seed=work.seed,
        seeds=f"scene and noise seeds {first} to {first + work.clips - 1}; training draws from seeds below {FIRST_SEED}",
        seconds=round(time.monotonic() - begun, 1),
        figures=figures(Evidence(**sets, psnr_db=psnr_db, mel_distance=mel_distance)),
        records=tuple(_record(*each) for each in zip(*(sets[name] for name in SETS), strict=True)),
    )


def _carry_out(
    model_id: str, asked: list[Asked], engine: Engine, catalogue: ModelCatalogue, folder: Path
) -> Iterator[tuple[Asked, dict[str, ClipReading], tuple[float, float]]]:
    """Each caption's three readings, and the PSNR (dB) and log-mel distance of the codecs on its render."""
    for index, each in enumerate(asked):
        request = catalogue.complete(GenerationRequest(prompt=each.prompt, seed=each.seed, model=model_id, upscale=1))
        paths = {name: folder / f"{index:03}-{name}.mp4" for name in SETS}
        clip = _rendered(each, request, engine.model(model_id).sample_rate)
        save(paths["renders"], clip.frames, clip.waveform, request)
        restored = restore(engine.model(model_id), clip)
        save(paths["ceiling"], restored.frames, restored.waveform, request)
        assert any(isinstance(event, Done) for event in list(engine.run(request, paths["model"])))
        yield each, {name: read_clip(path) for name, path in paths.items()}, (restored.psnr_db, restored.mel_distance)


def _rendered(asked: Asked, request: GenerationRequest, sample_rate: int) -> WorldClip:
    """The true clip of a caption, as long and as large as the model's."""
    assert request.num_frames and request.frame_rate and request.height
    return make_clip(
        asked.scene,
        num_frames=request.num_frames,
        frame_rate=request.frame_rate,
        size=request.height,
        sample_rate=sample_rate,
    )


def _record(render: ClipPair, ceiling: ClipPair, made: ClipPair) -> ClipRecord:
    """What the report shows of one caption."""
    scene, pairs = made.scene, dict(zip(SETS, (render, ceiling, made), strict=True))
    duration_s = len(made.reading.mouth_F) / made.reading.frame_rate
    happened = events(scene, duration_s)
    truth_s = {"dance": happened.beats_s, "impact": tuple(sorted({impact.time_s for impact in happened.impacts}))}
    measure = next((measure for kind, measure in SYNC_MEASURES.values() if kind == made.asked.kind), None)
    speaking = pairs if made.asked.kind == "speech" else {}
    asked = {name: wanted for name in CLASSES if (wanted := shown(scene, name))}
    return ClipRecord(
        prompt=made.asked.prompt,
        kind=made.asked.kind,
        seed=made.asked.seed,
        is_unseen=made.asked.is_unseen,
        files={name: str(pair.reading.path) for name, pair in pairs.items()},
        asked=asked | {"sound": (sound_class(scene),)},
        read={name: made.reading.ranked[name][: len(wanted)] for name, wanted in asked.items()}
        | {"sound": (made.reading.sound_class,)},
        seen_s={name: _times(_seen(pair)) for name, pair in pairs.items()},
        heard_s={name: _times(pair.reading.onsets_s) for name, pair in pairs.items()},
        mouth={name: _times(pair.reading.mouth_F) for name, pair in speaking.items()},
        loudness={name: _times(pair.reading.envelope_F) for name, pair in speaking.items()},
        truth_s=_times(np.array(truth_s.get(made.asked.kind, ()))),
        agreement=measure(made.reading, made.reading) if measure else None,
    )


def _seen(pair: ClipPair) -> np.ndarray:
    return pair.reading.motion_peaks_s if pair.asked.kind == "dance" else pair.reading.contacts_s


def _times(values_N: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 3) for value in values_N)
