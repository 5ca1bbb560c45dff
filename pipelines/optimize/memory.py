"""How much memory a clip will take: predicted stage by stage from shapes and widths, corrected by what was measured here.

A stage's peak is a few quantities in bytes (tokens, decoded pixels, samples ...), each times how often it is held at once.
That multiple is reckoned from the network's layout at first; ridge regression (Hoerl and Kennard 1970) draws it towards what
this machine showed, as far as there is evidence. Reads a model's configuration files, loads no model and no torch.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.checkpoints.header import Damaged
from pipelines.checkpoints.transformer import read_transformer
from pipelines.contract import GenerationRequest, Modality, ModelNotFound, Quantization
from pipelines.optimize.plan import QUANTIZED_FILE, Offload, Plan, group_of, held_bytes, plan_for
from pipelines.registry import ModelSpec

MIB = 1024**2
STAGES = ("encode", "denoise", "upsample latents", "decode picture", "enlarge", "decode sound", "write")
"""In the order of a run, as ``Progress`` names them."""
_PROGRAM_BYTES = 480 * MIB
"""A worker without weights: the libraries' code. On a GPU only what is allocated there counts."""
_WARMING_BYTES = 180 * MIB
"""What the first run of a worker adds for good: the libraries that write and measure files."""
_FAR = 4
"""Times as many pixels as were ever seen: what is larger is not foretold from runs alone."""
_NOISE_BYTES = 6 * MIB
_NOISE_SHARE = 0.04
"""How far two runs of the same settings are apart: so much, and this share of the peak."""


@dataclass(frozen=True)
class Widths:
    """The numbers of a model that its memory depends on; LTX-2's own where its files are not on this machine.

    ``weights_bytes`` is the whole model as it is; ``saved_bytes`` says how much less a mode of quantization holds, for the
    text's parts (``True``) and for the rest; ``away_bytes`` is what of them, held so, need not be there while it is not used.
    """

    weights_bytes: int
    element_bytes: int
    saved_bytes: Mapping[tuple[Quantization, bool], int] = field(default_factory=dict)
    away_bytes: Mapping[tuple[Quantization, bool], int] = field(default_factory=dict)
    video_width: int = 4096
    audio_width: int = 2048
    decoder_features: float = 128 / 16
    """Features of the video decoder's last block for each pixel of the picture."""
    spatial: int = 32
    temporal: int = 8
    audio_latents_per_s: float = 25.0
    sample_rate: int = 48_000
    upsampler_parameters: int = 497_867_904
    upsampler_width: int = 1024
    """Of the latent upsampler, which is loaded for its stage only."""
    has_layout: bool = True
    """Whether it is known how large what it computes is; of what diffusers' pipelines run, runs alone can tell."""

    def held_bytes(self, plan: Plan) -> int:
        """Bytes of the weights as ``plan`` holds them, where they are used."""
        rest, text = (plan.quantization, False), (plan.text_quantization, True)
        less = self.saved_bytes.get(rest, 0) + self.saved_bytes.get(text, 0)
        if plan.offload is not Offload.NONE:
            less += self.away_bytes.get(text, 0)
        if plan.offload.whole:
            less += self.away_bytes.get(rest, 0)
        return self.weights_bytes - less


@dataclass(frozen=True)
class Work:
    """What a request asks of the memory."""

    height: int
    width: int
    num_frames: int
    duration_s: float
    upscale: int = 1
    branches: int = 1
    """Prompts that go through the transformer together: two with guidance."""
    has_video: bool = True
    has_audio: bool = True
    quantization: Quantization = Quantization.NONE
    denoisings: int = 1
    """Stages of denoising: two with the latent upsampler between them."""
    references: int = 0
    """Clips that are shown beside it, each counted as large as it."""

    @classmethod
    def of(cls, request: GenerationRequest) -> Work:
        """The work of a complete request."""
        assert request.height and request.width and request.num_frames and request.duration_s
        guided = max(request.guidance_scale or 0, request.audio_guidance_scale or 0) > 1
        return cls(
            request.height, request.width, request.num_frames, request.duration_s, request.upscale or 1, 1 + guided,
            request.modality != Modality.AUDIO, request.modality != Modality.VIDEO, request.quantization or Quantization.NONE,
            request.stages, len(request.clips()),
        )  # fmt: skip

    @property
    def pixels(self) -> int:
        """Of all frames, before they are enlarged."""
        return self.height * self.width * self.num_frames

    @property
    def made_pixels(self) -> int:
        """Of all frames, enlarged."""
        return self.pixels * self.upscale**2

    def stages(self) -> tuple[str, ...]:
        """Those that it goes through."""
        left_out = {
            *(() if self.has_video else ("decode picture", "enlarge")),
            *(() if self.has_audio else ("decode sound",)),
            *(() if self.upscale > 1 else ("enlarge",)),
            *(() if self.denoisings > 1 else ("upsample latents",)),
        }
        return tuple(stage for stage in STAGES if stage not in left_out)


@dataclass(frozen=True)
class Measured:
    """One run as it was: bytes in use before it (``rest``), after it (``settled``), and at the peak of each stage.

    ``ran_short`` says that there was too little at first, so that it went on in smaller steps.
    """

    work: Work
    rest_bytes: int
    settled_bytes: int
    peaks: Mapping[str, int]
    ran_short: bool = False

    @property
    def warmed_up(self) -> bool:
        """Whether it made the worker grow for good, as the first run does, and so says little about others."""
        return self.settled_bytes - self.rest_bytes > 48 * MIB + 4 * self.work.made_pixels


@dataclass(frozen=True)
class Evidence:
    """The ``runs`` of one model on a kind of ``device`` ("cpu", "cuda"), oldest first; a quantization may be ``AUTO``."""

    device: str
    runs: tuple[Measured, ...] = ()

    def held_as(self, quantization: Quantization) -> tuple[Measured, ...]:
        """The runs, with what ``AUTO`` stands for there."""
        return tuple(
            replace(run, work=replace(run.work, quantization=quantization)) if run.work.quantization is Quantization.AUTO else run
            for run in self.runs
        )

    def short_pixels(self) -> int | None:
        """The fewest pixels of a run that went on in smaller steps; ``None`` where none did."""
        return min((run.work.made_pixels for run in self.runs if run.ran_short), default=None)


@dataclass(frozen=True)
class Prediction:
    """Bytes at rest and at the peak of each stage; ``runs`` is how many measured runs it rests on."""

    rest_bytes: int
    peaks: Mapping[str, int]
    runs: int

    @property
    def peak_bytes(self) -> int:
        """The most that is in use at any moment."""
        return max(self.peaks.values(), default=self.rest_bytes)

    @property
    def stage(self) -> str:
        """Where that is."""
        return max(self.peaks, key=lambda stage: self.peaks[stage])


def widths_of(spec: ModelSpec, device: str) -> Widths:
    """The numbers of ``spec`` on a kind of device (``cpu`` computes in float32)."""
    element = 4 if device == "cpu" or spec.dtype == "float32" else 2
    if spec.is_local:
        single = Path(spec.transformer) if spec.transformer else None
        if spec.call is not None:
            return Widths(**_weighed(Path(spec.source), single, element), has_layout=False)
        return _read(Path(spec.source), single, element)
    whole = spec.memory_bytes * element // 2
    saved = _reckoned_savings(whole, element)
    shares = {True: _TEXT_SHARE, False: 1 - _TEXT_SHARE}
    away = {(mode, text): round(_AWAY * (whole * shares[text] - less)) for (mode, text), less in saved.items()}
    return Widths(whole, element, saved, away, has_layout=spec.call is None)


def plan_of(spec: ModelSpec, asked: Quantization, device: str, room_bytes: int | None) -> Plan:
    """How ``spec`` is prepared where ``asked`` is wanted and its weights may take some of ``room_bytes``.

    Files that hold quantized weights are taken as they are; of a single file the other parts are another model's.
    """
    text = spec.text_quantization
    if spec.held_as is not None:
        asked, text = Quantization.NONE, text if spec.transformer else Quantization.NONE
    wanted = Plan(asked, text, spec.kernels, spec.compile, spec.offload)
    # Neither can what diffusers runs, nor what is of kinds of tensors that files of ours cannot hold, come from files.
    if wanted.in_files(device) and (spec.call is not None or spec.held_as is not None):
        wanted = replace(wanted, offload=Offload.NONE)
    return plan_for(wanted, device, widths_of(spec, device).held_bytes, room_bytes)


@lru_cache(maxsize=64)
def _read(folder: Path, file: Path | None, element: int) -> Widths:
    names = ("transformer", "vae", "audio_vae", "vocoder")
    transformer, vae, audio, vocoder = (json.loads((folder / name / "config.json").read_text()) for name in names)
    own = folder / _UPSAMPLER
    upsampler = json.loads((own / "config.json").read_text()) if (own / "config.json").is_file() else {}
    return Widths(
        **_weighed(folder, file, element),
        video_width=transformer["num_attention_heads"] * transformer["attention_head_dim"],
        audio_width=transformer["audio_num_attention_heads"] * transformer["audio_attention_head_dim"],
        decoder_features=min(vae["decoder_block_out_channels"]) / vae["patch_size"] ** 2,
        spatial=vae["spatial_compression_ratio"],
        temporal=vae["temporal_compression_ratio"],
        audio_latents_per_s=audio["sample_rate"] / audio["mel_hop_length"] / 4,
        sample_rate=vocoder["output_sampling_rate"],
        upsampler_parameters=sum(prod(each.shape) for file in own.rglob("*.safetensors") for each in _tensors(file)),
        upsampler_width=upsampler.get("mid_channels", 0),
    )


def _weighed(folder: Path, file: Path | None, element: int) -> dict[str, Any]:
    """What ``Widths`` says of the weights in a folder, whatever their network is; a ``file`` takes its transformer's place."""
    weights = {True: _weights(folder, True), False: _weights(folder, False, file)}
    return {
        "weights_bytes": _bytes([*weights[True], *weights[False]], element, Quantization.NONE),
        "element_bytes": element,
        "saved_bytes": {
            (mode, text): _bytes(found, element, Quantization.NONE) - _bytes(found, element, mode)
            for text, found in weights.items()
            for mode in Quantization
        },
        "away_bytes": {
            (mode, text): _away_bytes(found, element, mode) for text, found in weights.items() for mode in Quantization
        },
    }


def _away_bytes(weights: Iterable[_Tensor], element: int, mode: Quantization) -> int:
    """All groups that come and go but the two largest: one is there, and the next may be on its way."""
    groups: dict[tuple[str, str], int] = {}
    for tensor in weights:
        name = group_of(tensor.name)
        if name is not None and (tensor.part in _TEXT_PARTS or tensor.part.startswith("transformer")):
            groups[tensor.part, name] = groups.get((tensor.part, name), 0) + tensor.held_bytes(element, mode)
    return sum(sorted(groups.values())[:-2])


_UPSAMPLER = "latent_upsampler"
_TEXT_PARTS = ("text_encoder", "text_encoder_2", "connectors")
_TEXT_SHARE, _LARGE_LAYERS, _AWAY = 12 / 34, 0.97, 0.85
"""Of LTX-2's parameters: those that read texts; of either part those that a mode changes, and those in all blocks but two."""


def _reckoned_savings(whole: int, element: int) -> dict[tuple[Quantization, bool], int]:
    """For a model of LTX-2's layout that is not here: of all its bytes, those that a mode saves."""
    side = 4096
    one = {
        mode: held_bytes("layers.0.q_proj.weight", (side, side), element, mode) / (side * side * element) for mode in Quantization
    }
    shares = {True: _TEXT_SHARE, False: 1 - _TEXT_SHARE}
    return {
        (mode, text): round(whole * share * _LARGE_LAYERS * (1 - one[mode]))
        for mode in Quantization
        for text, share in shares.items()
    }


@dataclass(frozen=True)
class _Tensor:
    """Something that a safetensors file holds; what was quantized takes in memory what it does in the file."""

    name: str
    shape: tuple[int, ...]
    fixed_bytes: int | None
    part: str

    def held_bytes(self, element: int, mode: Quantization) -> int:
        if self.fixed_bytes is not None:
            return self.fixed_bytes
        return held_bytes(self.name, self.shape, element, mode)


def _weights(folder: Path, text: bool, single: Path | None = None) -> list[_Tensor]:
    """All weights of the parts that read texts, or of the others but the latent upsampler; ``single`` is a transformer's file."""
    left_out = (_UPSAMPLER, "transformer") if single else (_UPSAMPLER,)
    every = (file for file in folder.rglob("*.safetensors") if file.parent.name not in left_out)
    files = (file for file in every if (file.parent.name in _TEXT_PARTS) == text)
    return [*(each for file in files for each in _tensors(file)), *(_tensors_of_one(single) if single else ())]


def _tensors_of_one(file: Path) -> Iterable[_Tensor]:
    """What a transformer's single file holds; what GGUF packs stays packed. Raises ``ModelNotFound`` for a damaged one."""
    try:
        found = read_transformer(file)
    except Damaged as error:
        raise ModelNotFound(f"{file.name} cannot be used: {error}.", field="model") from None
    for name, tensor in found.tensors.items():
        yield _Tensor(name, tensor.shape, tensor.end - tensor.start if found.is_packed(name) else None, "transformer")


def _bytes(tensors: Iterable[_Tensor], element: int, mode: Quantization) -> int:
    return sum(tensor.held_bytes(element, mode) for tensor in tensors)


def _tensors(file: Path) -> Iterable[_Tensor]:
    """What a safetensors file holds, from its header alone. Raises ``ModelNotFound`` for a damaged one."""
    try:
        with file.open("rb") as stream:
            length = struct.unpack("<Q", stream.read(8))[0]
            if length > file.stat().st_size:
                raise ValueError("it is cut off")
            header = json.loads(stream.read(length))
    except (struct.error, ValueError) as error:
        raise ModelNotFound(f"{file} is damaged ({error}): install the model again.", field="model") from None
    for name, tensor in header.items():
        if name != "__metadata__":
            begin, end = tensor["data_offsets"]
            fixed_bytes = end - begin if file.name == QUANTIZED_FILE else None
            yield _Tensor(name, tuple(tensor["shape"]), fixed_bytes, file.parent.name)


def _quantities(stage: str, work: Work, widths: Widths) -> list[tuple[float, float]]:
    """What a stage holds beyond the weights: (bytes, how often at once by the network's layout), a constant first."""
    element, pixels = widths.element_bytes, work.pixels
    if not widths.has_layout:
        return [(512.0 * MIB, 1), (4.0 * work.made_pixels, 1)]
    frames = 3.0 * pixels * work.has_video
    cells = ((work.num_frames - 1) // widths.temporal + 1) * (work.height // widths.spatial) * (work.width // widths.spatial)
    samples = 4.0 * work.duration_s * widths.sample_rate
    glimpse = (2 * widths.temporal - 1) * work.height * work.width * work.has_video
    features = widths.decoder_features * element
    match stage:
        case "encode":
            return [(8.0 * MIB, 1)]
        case "denoise":
            # In a block: the state, its norm, queries, keys, values, their rotation; or the feed-forward's fourfold width twice.
            video = float(work.branches * (1 + work.references) * cells * widths.video_width * element)
            audio = work.branches * work.duration_s * widths.audio_latents_per_s * widths.audio_width * element
            return [(16.0 * MIB, 1), (video, 14), (audio, 14), (glimpse * features, 6)]
        case "upsample latents":
            # The net itself; around a block after the enlarging: its input, two convolutions' results, a norm, an activation.
            return [(float(element * widths.upsampler_parameters), 1), (float(cells * widths.upsampler_width * element), 5)]
        case "decode picture":
            # Around a residual block: its input, the norm's square and result, the activation, two padded copies.
            return [(24.0 * MIB, 1), (pixels * features, 6), (4 * frames, 3)]
        case "enlarge":
            return [(128.0 * MIB, 1), (frames, 1), (work.upscale**2 * frames, 1)]
        case "decode sound":
            return [(16.0 * MIB, 1), (samples, 192), (frames, 1)]
        case _:
            # The encoder's frames; then all that is measured, at one small size whatever the clip's is.
            small = 4.0 * work.num_frames * 3 * 128 * 128 * work.has_video
            return [(32.0 * MIB, 1), (frames * work.upscale**2, 4), (small, 4), (samples, 16)]


@dataclass(frozen=True)
class MemoryModel:
    """Predicts the runs of one model on one kind of device from those that were ``measured``, oldest first.

    ``text_quantization`` is that of the model's text encoder, ``offload`` says what is away, in all of them.
    """

    widths: Widths
    device: str
    measured: tuple[Measured, ...] = ()
    text_quantization: Quantization = Quantization.NONE
    offload: Offload = Offload.NONE

    def predict(self, work: Work) -> Prediction:
        """The peaks of ``work``, at rest as after the latest run, but for the weights where those are held otherwise."""
        rest = self._weights_bytes(work)
        if self.measured:
            latest = self.measured[-1]
            rest += latest.settled_bytes - self._weights_bytes(latest.work)
        elif self.device == "cpu":
            rest += _PROGRAM_BYTES + _WARMING_BYTES
        peaks = {stage: rest + round(max(0.0, self._beyond(stage, work))) for stage in work.stages() if self._is_known(stage)}
        return Prediction(rest, peaks, len(self.measured))

    def can_tell(self, work: Work) -> bool:
        """Whether more is known of such a clip than the weights: of small ones large ones do not follow.

        That a file was written says nothing of how it was made.
        """
        if self.widths.has_layout:
            return True
        seen = max((run.work.made_pixels for run in self._runs("denoise")), default=0)
        return work.made_pixels <= _FAR * seen

    def _is_known(self, stage: str) -> bool:
        return self.widths.has_layout or bool(self._runs(stage))

    def _runs(self, stage: str) -> list[Measured]:
        return [run for run in self.measured if stage in run.peaks and not run.warmed_up]

    def _weights_bytes(self, work: Work) -> int:
        return self.widths.held_bytes(Plan(work.quantization, self.text_quantization, offload=self.offload))

    def _beyond(self, stage: str, work: Work) -> float:
        quantities = _quantities(stage, work, self.widths)
        return float(np.dot([size for size, _ in quantities], self._multiples(stage, [times for _, times in quantities])))

    def _multiples(self, stage: str, prior: Sequence[float]) -> np.ndarray:
        """How often each quantity is held: ridge regression towards ``prior``, which may be wrong by its own size."""
        runs = self._runs(stage)
        drawn = spread = np.asarray(prior, float)
        if not self.widths.has_layout:  # all of it grows with the pixels, until runs of several sizes tell otherwise
            most = max((run.peaks[stage] - run.rest_bytes) / (4.0 * run.work.made_pixels) for run in runs)
            drawn, spread = np.array([0.0, most]), np.array([1.0, max(most, 1e-3)])
        if not runs:
            return drawn
        sizes = np.array([[size for size, _ in _quantities(stage, run.work, self.widths)] for run in runs])
        seen = np.array([run.peaks[stage] - run.rest_bytes for run in runs], float)
        noise = _NOISE_BYTES + _NOISE_SHARE * np.abs(seen)
        rows = np.vstack([sizes / noise[:, None], np.diag(1 / spread)])
        found, *_ = np.linalg.lstsq(rows, np.concatenate([seen / noise, drawn / spread]), rcond=None)
        return np.asarray(found)


@dataclass(frozen=True)
class Thrift:
    """How sparingly a run is made: ``step_bytes`` is the largest activation of a decoder's step, ``enlarge_pixels`` are enlarged
    at once.
    """

    step_bytes: int = 256 * MIB
    enlarge_pixels: int = 5 * 128 * 128
    previews: bool = True


PLENTY = Thrift()
SPARING = Thrift(step_bytes=32 * MIB, enlarge_pixels=128 * 128, previews=False)
_TIGHT = 0.85
"""From this share of the free memory on, a run that is expected to take so much is made sparingly."""


_SHORTAGES = (
    "can't allocate memory",
    "could not create a primitive",
    "could not create a memory object",
    "Cannot allocate memory",
)


def thrift_for(prediction: Prediction, free_bytes: int | None) -> Thrift:
    """Sparing where the run is expected to take nearly all that is free beside what is held at rest, or more."""
    taken = prediction.peak_bytes - prediction.rest_bytes
    return PLENTY if free_bytes is None or taken <= _TIGHT * free_bytes else SPARING


def is_shortage(error: BaseException) -> bool:
    """Whether an exception says that memory ran out; torch and oneDNN tell so of main memory by an ordinary ``RuntimeError``."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or any(words in str(error) for words in _SHORTAGES)
