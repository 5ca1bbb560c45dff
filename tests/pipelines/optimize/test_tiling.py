"""Plans of tiles and steps, and that what they make is the picture and the sound of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLLTX2Video

from pipelines.graph import Wire
from pipelines.models.ltx2 import load, twin
from pipelines.models.ltx2.decode import decode_audio
from pipelines.nodes.decode import DecodeVideo
from pipelines.optimize.memory import PLENTY, SPARING, Thrift
from pipelines.optimize.tiling import (
    MIB,
    Decoding,
    Part,
    Plan,
    audio_reach,
    decode,
    decode_mel,
    decode_tile,
    largest_bytes,
    plan,
    plan_if_needed,
    put,
    reach,
    streamed_bytes,
)
from pipelines.passes import Latents
from pipelines.registry import spec_from_folder

SHALLOW = dict(decoder_layers_per_block=(1, 1, 1, 0), decoder_block_out_channels=(8, 16, 32), latent_channels=8)


def vae_of(**changes: Any) -> AutoencoderKLLTX2Video:
    torch.manual_seed(5)
    settings: dict[str, Any] = dict(
        block_out_channels=(16, 32, 32, 32), layers_per_block=(1, 1, 1, 1, 1), decoder_causal=False, patch_size=4,
        decoder_spatial_padding_mode="zeros", spatial_compression_ratio=32, temporal_compression_ratio=8,
    )  # fmt: skip
    return AutoencoderKLLTX2Video(**(settings | SHALLOW | changes)).eval()


def picture_of(vae: Any, latents: torch.Tensor, tiles: Plan) -> torch.Tensor:
    frames, height, width = latents.shape[2:]
    found = torch.full((1, 3, 8 * (frames - 1) + 1, 32 * height, 32 * width), torch.nan)
    for part in decode(vae, latents, None, tiles):
        put(part, found, lambda pixels: pixels)
    return found


@torch.inference_mode()
def whole_of(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    return vae.decode(latents, None, return_dict=False)[0]


def budget_for(decoder: Any, latents: torch.Tensor, height: int, width: int) -> int:
    """Just what a tile of so many cells takes."""
    held, frame = streamed_bytes(decoder, latents, height, width)
    return held + 6 * frame


def test_the_reach_is_what_a_pixel_depends_on() -> None:
    vae, width = vae_of(), 17
    latents = torch.randn(1, 8, 1, 1, width)
    changed = latents.clone()
    changed[..., 8] += 1
    moved = (whole_of(vae, changed) - whole_of(vae, latents)).abs().amax(dim=(0, 1, 2, 3)).unflatten(0, (width, 32)).amax(dim=1)
    touched = [cell for cell in range(width) if moved[cell] > 0]
    assert max(touched) - 8 <= reach(vae.decoder) and 8 - min(touched) <= reach(vae.decoder)
    assert max(touched) - 8 >= reach(vae.decoder) - 1


def test_tiles_cover_the_picture_once_and_are_balanced() -> None:
    vae = vae_of()
    latents = torch.zeros(1, 8, 2, 23, 37)
    tiles = plan(vae.decoder, latents, budget_for(vae.decoder, latents, 16, 16))
    for spans, size in ((tiles.rows, 23), (tiles.columns, 37)):
        assert len(spans) > 1 and spans[0].start == 0 and spans[-1].stop == size
        assert all(one.stop == other.start for one, other in pairwise(spans))
        lengths = [span.stop - span.start for span in spans]
        assert max(lengths) - min(lengths) <= 1
        assert max(span.last - span.first for span in spans) <= 16


def test_less_memory_makes_smaller_steps_then_tiles() -> None:
    vae = vae_of()
    latents = torch.zeros(1, 8, 9, 16, 16)
    budgets = [4000 * MIB, budget_for(vae.decoder, latents, 16, 16), budget_for(vae.decoder, latents, 12, 12), 1]
    found = [plan(vae.decoder, latents, budget) for budget in budgets]
    assert [len(each.rows) * len(each.columns) for each in found] == sorted(len(each.rows) * len(each.columns) for each in found)
    assert len(found[1].rows) == len(found[1].columns) == 1 and found[1].step_bytes < found[0].step_bytes
    assert len(found[2].rows) > 1 and len(found[3].rows) == len(found[3].columns) == 16


def test_tiles_with_all_that_they_depend_on_have_no_seam() -> None:
    vae = vae_of(decoder_layers_per_block=(0, 0, 0, 0))
    latents = torch.randn(1, 8, 2, 4, 20)
    tiles = plan(vae.decoder, latents, budget_for(vae.decoder, latents, 4, 14))
    assert len(tiles.columns) == 2 and tiles.is_exact
    torch.testing.assert_close(picture_of(vae, latents, tiles), whole_of(vae, latents), rtol=1e-4, atol=3e-5)


def test_seams_are_weaker_than_upstreams_and_nothing_is_moved_elsewhere() -> None:
    vae = vae_of(decoder_layers_per_block=(1, 2, 2, 3))
    latents = torch.randn(1, 8, 2, 6, 32)
    whole = whole_of(vae, latents)
    tiles = plan(vae.decoder, latents, budget_for(vae.decoder, latents, 6, 22))
    assert len(tiles.columns) == 2 and len(tiles.rows) == 1 and not tiles.is_exact
    off = (picture_of(vae, latents, tiles) - whole).abs()
    vae.enable_tiling()
    theirs = (whole_of(vae, latents) - whole).abs()
    assert off.max() <= theirs.max() and off.mean() <= theirs.mean()
    far = 32 * (16 - tiles.fade - reach(vae.decoder))
    assert far <= 0 or max(off[..., :far].max(), off[..., -far:].max()) <= 1e-3


def test_small_clips_are_decoded_at_once() -> None:
    vae = vae_of()
    latents = torch.zeros(1, 8, 2, 2, 2)
    assert plan_if_needed(vae.decoder, latents, PLENTY.step_bytes, None) is None
    assert plan_if_needed(vae.decoder, latents, largest_bytes(vae.decoder, latents) - 1, None) is not None
    assert plan_if_needed(vae.decoder, latents, PLENTY.step_bytes, largest_bytes(vae.decoder, latents)) is not None


@dataclass
class Running:
    """What a node sees of the engine."""

    loaded: Any
    thrift: Thrift
    ranks: int = 1

    def decoded(self, model: Any, work: Decoding) -> Iterator[Part]:
        for index in range(len(work.plan.tiles)):
            yield from decode_tile(model.vae, work, index)

    def model(self, model_id: str) -> Any:
        return self.loaded

    def spec(self, model_id: str) -> Any:
        return self.loaded.spec

    def media_path(self, reference: str) -> Any:
        raise KeyError(reference)

    source_path = media_path


def run(node: DecodeVideo, context: Running, latents: Latents) -> tuple[np.ndarray, list[Any]]:
    events: list[Any] = []

    def values() -> Iterator[Any]:
        frames = yield from node.run(context, latents=latents)
        events.append(frames)

    seen = list(values())
    return events[0], seen


def test_the_node_streams_where_it_must(twin_folder: Any) -> None:
    spec = spec_from_folder("twin", twin_folder)
    model = load.from_pipeline(twin.build("2.3"), spec, sha256="0", device=torch.device("cpu"))
    node = DecodeVideo(model="twin", weights="0", latents=Wire(node="x"), height=96, width=64, num_frames=25, frame_rate=24.0)
    latents = Latents(torch.randn(1, 4 * 3 * 2, 8), torch.randn(1, 4, 8))
    whole, few = run(node, Running(model, PLENTY), latents)
    streamed, many = run(node, Running(model, Thrift(step_bytes=1)), latents)
    assert whole.shape == streamed.shape == (25, 96, 64, 3) and whole.dtype == streamed.dtype == np.uint8
    assert np.abs(whole.astype(int) - streamed).max() <= 1 and (whole != streamed).mean() < 1e-3
    assert len(few) == 2 and len(many) > 3 and many[-1].step == many[-1].total == 25
    assert SPARING.step_bytes < PLENTY.step_bytes


def sounding(**changes: Any) -> AutoencoderKLLTX2Audio:
    torch.manual_seed(1)
    settings: dict[str, Any] = dict(
        base_channels=8, ch_mult=(1, 2, 4), num_res_blocks=2, in_channels=2, output_channels=2, latent_channels=2, mel_bins=16,
        norm_type="pixel", causality_axis="height",
    )  # fmt: skip
    return AutoencoderKLLTX2Audio(**(settings | changes)).eval()


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_sound_in_chunks_is_the_whole_sound(chunk: int) -> None:
    vae = sounding()
    latents = torch.randn(1, 2, 100, 4)
    with torch.inference_mode():
        whole = vae.decode(latents, return_dict=False)[0]
    made = decode_mel(vae, latents, chunk)
    assert made.shape == whole.shape == (1, 2, 397, 16)
    torch.testing.assert_close(made, whole, rtol=1e-4, atol=1e-5)


def test_a_long_sound_is_decoded_piece_by_piece(twin_folder: Any) -> None:
    model = load.from_pipeline(twin.build("2.3"), spec_from_folder("twin", twin_folder), sha256="0", device=torch.device("cpu"))
    bins = model.audio_vae.config.mel_bins // model.audio_vae.mel_compression_ratio
    tokens = torch.randn(1, 120, model.audio_vae.config.latent_channels * bins)
    whole, seen = decode_audio(model, tokens), []
    model.audio_vae.decoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[2]))
    torch.testing.assert_close(decode_audio(model, tokens, chunk=10), whole, rtol=1e-4, atol=1e-5)
    assert len(seen) == 12 and max(seen) < 120


def test_sound_depends_on_no_more_than_its_reach() -> None:
    vae = sounding()
    far = audio_reach(vae.decoder)
    assert far is not None
    latents = torch.randn(1, 2, 80, 4)
    changed = latents.clone()
    changed[:, :, 20] += 1
    with torch.inference_mode():
        moved = (vae.decode(changed, return_dict=False)[0] - vae.decode(latents, return_dict=False)[0]).abs().amax(dim=(0, 1, 3))
    last = int(moved.nonzero().max())
    assert 4 * (20 + far) - 4 <= last <= 4 * (20 + far)


def test_sound_that_looks_ahead_is_decoded_whole() -> None:
    vae = sounding(causality_axis="none")
    latents = torch.randn(1, 2, 60, 4)
    assert audio_reach(vae.decoder) is None
    with torch.inference_mode():
        assert torch.equal(decode_mel(vae, latents, 1), vae.decode(latents, return_dict=False)[0])
