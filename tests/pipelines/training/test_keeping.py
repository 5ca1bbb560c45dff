"""What training samples are given of themselves, and that nothing else is learnt from it."""

from __future__ import annotations

import numpy as np
import torch

from pipelines.training.flow import Batch, mean_over
from pipelines.training.keeping import Keep, draw_keep, grid
from pipelines.training.recipes import pocket

RECIPE = pocket()


def drawn(count: int = 400, seed: int = 0) -> Keep:
    return draw_keep(grid(RECIPE), RECIPE.audio_latent_frames, np.random.default_rng(seed), count)


def test_every_way_of_giving_a_clip_a_part_of_itself_is_drawn() -> None:
    keep = drawn()
    frames, height, width = grid(RECIPE)
    video, audio = keep.video_BN.unflatten(1, (frames, height, width)), keep.audio_BL
    whole_video, whole_audio = video.flatten(1).mean(1) == 1, audio.mean(1) == 1
    by_frame = video.flatten(2)
    assert (whole_video & (audio.sum(1) == 0)).any(), "dub"
    assert (whole_audio & (video.flatten(1).sum(1) == 0)).any(), "visualise"
    first_only = (by_frame[:, 0] == 1).all(1) & (by_frame[:, 1:].sum((1, 2)) == 0) & (audio.sum(1) == 0)
    assert 0.2 < first_only.float().mean() < 0.45, "first frame"
    assert ((by_frame.amin(2) != by_frame.amax(2)).any(1)).any(), "region"
    middle_only = (by_frame[:, 0] == 1).all(1) & (by_frame[:, -1] == 1).all(1) & (by_frame[:, 1:-1].mean((1, 2)) < 1)
    assert (middle_only & (audio.mean(1) > 0)).any(), "retake"


def test_nothing_is_kept_whole_and_masks_are_zero_or_one() -> None:
    keep = drawn(seed=1)
    everything = torch.cat([keep.video_BN, keep.audio_BL], dim=1)
    assert set(everything.unique().tolist()) == {0.0, 1.0}
    assert (everything.mean(1) < 1).all(), "a sample with nothing to make teaches nothing"


def test_the_same_seed_draws_the_same_masks() -> None:
    assert torch.equal(drawn(8, seed=3).video_BN, drawn(8, seed=3).video_BN)


def test_kept_tokens_neither_move_nor_count() -> None:
    keep = drawn(4, seed=2)
    video, audio = torch.randn(4, keep.video_BN.shape[1], 5), torch.randn(4, keep.audio_BL.shape[1], 3)
    noisy = Batch.noised(video, audio, torch.full((4,), 0.7), keep)
    kept, heard = keep.video_BN.bool(), keep.audio_BL.bool()
    assert torch.equal(noisy.video[kept], video[kept]) and torch.equal(noisy.audio[heard], audio[heard])
    assert not torch.isclose(noisy.video[~kept], video[~kept]).all()
    error = torch.ones(4, keep.video_BN.shape[1], 5)
    assert mean_over(torch.where(kept[..., None], 99.0, error), keep.video_BN) == 1
