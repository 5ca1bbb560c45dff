"""What diffusers 0.42.1 does not do right for LTX-2, and the studio does itself: each test fails once that is mended."""

from __future__ import annotations

import pytest
import torch
from diffusers import LTX2VideoTransformer3DModel
from diffusers.hooks._helpers import TransformerBlockRegistry
from diffusers.models.transformers.transformer_ltx2 import LTX2VideoTransformerBlock

from tests.pipelines.optimize.test_tiling import vae_of


@torch.no_grad()
def test_decoding_in_pieces_of_time_is_one_frame_off() -> None:
    """Mended, ``pipelines/optimize/tiling.py`` could leave time to ``use_framewise_decoding``.

    Every piece after the first drops its last frame instead of its first, so that what it shows comes one frame late.
    """
    vae = vae_of()
    latents = torch.randn(1, 8, 17, 2, 2, generator=torch.Generator().manual_seed(0))
    whole = vae.decode(latents, return_dict=False)[0]
    vae.use_framewise_decoding = True
    vae.tile_sample_min_num_frames, vae.tile_sample_stride_num_frames = 96, 64
    pieces = vae.decode(latents, return_dict=False)[0]
    assert pieces.shape == whole.shape and torch.allclose(pieces[:, :, :32], whole[:, :, :32], atol=1e-3)
    frames = slice(110, 120)  # of the second piece, far from every seam and the clip's end
    as_it_is, one_late = (float((pieces[:, :, frames] - whole[:, :, 110 - late : 120 - late]).abs().mean()) for late in (0, 1))
    assert one_late < 0.1 * as_it_is


def test_the_plan_of_shared_sequences_leaves_out_what_attention_between_the_streams_turns_by() -> None:
    """Mended, ``pipelines/optimize/parallel`` could be weighed against ``enable_parallelism``."""
    plan = LTX2VideoTransformer3DModel._cp_plan
    assert plan and "cross_attn_rope" not in plan


def test_its_caches_do_not_know_the_blocks() -> None:
    """Mended, ``benchmarks/caching.py`` need not register them before it compares."""
    with pytest.raises(ValueError, match="not registered"):
        TransformerBlockRegistry.get(LTX2VideoTransformerBlock)
