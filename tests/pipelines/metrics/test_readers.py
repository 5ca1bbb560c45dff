"""The released readers on renders that they never saw, and their files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pipelines.metrics.figures import reader_accuracy
from pipelines.metrics.readers import (
    CLASSES,
    READERS_FOLDER,
    PictureReader,
    SoundReader,
    SubjectReader,
    load_readers,
    with_change,
)
from pipelines.models.manifest import checked
from pipelines.training.reader_release import held_out_accuracy
from pipelines.training.recipes import pocket


def test_files_are_as_released_and_small():
    assert checked("the readers", READERS_FOLDER).sha256
    assert sum(file.stat().st_size for file in READERS_FOLDER.rglob("*.safetensors")) <= 7_000_000
    assert (READERS_FOLDER / "README.md").read_text().startswith("---\nlicense: apache-2.0")
    claimed = json.loads((READERS_FOLDER / "accuracy.json").read_text())
    assert claimed["clips"] >= 200


@pytest.mark.slow
def test_released_readers_are_as_right_on_fresh_renders_as_they_claim():
    found, claimed = held_out_accuracy(load_readers(), pocket(), 60, seed=9), reader_accuracy()
    for name, right in claimed.items():
        assert found[name] >= right - 0.12, (name, found, "worse than accuracy.json says")
    assert found["mouth_error"] <= 0.12 and found["sync_auc"] >= 0.9, found


def test_saved_and_loaded_readers_say_the_same(tmp_path):
    torch.manual_seed(0)
    picture, subject, sound = PictureReader().eval(), SubjectReader().eval(), SoundReader().eval()
    clips, mel = torch.rand(1, 5, 3, 64, 64), torch.randn(1, 1, 60, 64)
    for net, name in ((picture, "picture"), (subject, "subject"), (sound, "sound")):
        net.save_pretrained(tmp_path / name)
    again = PictureReader.from_pretrained(tmp_path / "picture").eval()
    with torch.inference_mode():
        torch.testing.assert_close(again(clips).contact, picture(clips).contact)
        of_subject = SubjectReader.from_pretrained(tmp_path / "subject").eval()
        torch.testing.assert_close(of_subject(clips[0]), subject(clips[0]))
        torch.testing.assert_close(SoundReader.from_pretrained(tmp_path / "sound").eval()(mel), sound(mel))


def test_the_reader_sees_which_way_edges_move():
    ramp = np.tile(np.linspace(0, 1, 80, dtype=np.float32), (64, 1))
    clip = torch.from_numpy(np.stack([ramp[:, 10 - k : 74 - k] for k in range(4)]))[None, :, None].expand(1, 4, 3, 64, 64)
    seen = with_change(clip.contiguous())
    assert seen.shape == (1, 4, 6, 64, 64)
    right, down = seen[0, 2, 4, 8:-8, 8:-8], seen[0, 2, 5, 8:-8, 8:-8]
    assert right.mean() > 0.01 and down.abs().max() < 1e-3
    assert seen[0, 0, 3:].abs().max() == 0


def test_a_clip_is_looked_at_by_both_and_shorter_ones_too():
    readers = load_readers()
    frames = np.random.default_rng(0).integers(0, 256, (7, 80, 96, 3), dtype=np.uint8)
    for clip in (frames, frames[:1]):
        with torch.inference_mode():
            seen = readers.see(clip)
        assert {name: logits.shape for name, logits in seen.attributes.items()} == {
            name: (1, len(classes)) for name, classes in CLASSES.items()
        }
        assert seen.contact.shape == (1, len(clip))
