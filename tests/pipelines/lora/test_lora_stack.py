"""LoRAs on a real transformer: equal to folded weights, in any order, over time and by stream, and gone without a trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.lora.file import LoraFile, read_lora
from pipelines.lora.stack import LoraStack, Strength, is_of_sound
from tests.pipelines.lora.test_lora_file import MODULES, halves, named, write

VIDEO, AUDIO = "transformer_blocks.0.attn1.to_q", "transformer_blocks.1.audio_ff.net.0.proj"


class Layers(nn.Module):
    """The three layers of the model that these LoRAs change, under their own names."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        for name in (VIDEO, AUDIO, "time_embed.linear"):
            place: nn.Module = self
            *way, last = name.split(".")
            for step in way:
                if not hasattr(place, step):
                    place.add_module(step, nn.Module())
                place = getattr(place, step)
            place.add_module(last, nn.Linear(MODULES[name][1], MODULES[name][0]))


@pytest.fixture
def loras(tmp_path: Path) -> list[LoraFile]:
    return [read_lora(write(tmp_path / f"{n}.safetensors", named("diffusers", halves(n))), MODULES) for n in (1, 2, 3)]


def answers(layers: Layers) -> dict[str, torch.Tensor]:
    found = dict(layers.named_modules())
    torch.manual_seed(1)
    return {name: found[name](torch.randn(5, MODULES[name][1])) for name in (VIDEO, AUDIO)}


def test_a_stack_equals_folded_weights_and_leaves_no_trace(loras):
    layers = Layers()
    before = answers(layers)
    with LoraStack(layers, [(loras[0], Strength(0.8, 0.8)), (loras[1], Strength(-0.3, -0.3))]).on():
        stacked = answers(layers)
    after = answers(layers)
    for name in before:
        assert torch.equal(before[name], after[name]) and not torch.allclose(before[name], stacked[name])
    folded = Layers()
    modules = dict(folded.named_modules())
    with torch.no_grad():
        for seed, strength in ((1, 0.8), (2, -0.3)):
            for name, (down, up) in halves(seed).items():
                modules[name].weight += strength * torch.from_numpy(up @ down)
    for name, made in answers(folded).items():
        assert torch.allclose(made, stacked[name], atol=1e-3, rtol=1e-4)


def test_the_order_does_not_matter_to_the_last_bit(loras):
    layers = Layers()
    stack = [(lora, Strength(weight, weight)) for lora, weight in zip([*loras, loras[0]], (0.7, -1.1, 0.3, 0.45), strict=True)]
    with LoraStack(layers, stack).on():
        one = answers(layers)
    with LoraStack(layers, stack[::-1]).on():
        two = answers(layers)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_streams_and_schedules(loras):
    layers = Layers()
    before = answers(layers)
    with LoraStack(layers, [(loras[0], Strength(video=1.0, audio=0.0))]).on():
        silent = answers(layers)
    assert torch.equal(silent[AUDIO], before[AUDIO]) and not torch.equal(silent[VIDEO], before[VIDEO])
    with LoraStack(layers, [(loras[0], Strength(start=0.0, end=0.5))]).on() as stack:
        early = answers(layers)
        stack.at(0.5)
        late = answers(layers)
        stack.at(0.49)
        again = answers(layers)
    assert torch.equal(late[VIDEO], before[VIDEO]) and torch.equal(early[VIDEO], again[VIDEO])
    assert not torch.equal(early[VIDEO], before[VIDEO])


def test_which_stream_a_module_writes_into():
    assert not is_of_sound("transformer_blocks.0.audio_to_video_attn.to_out.0")
    assert is_of_sound("transformer_blocks.0.video_to_audio_attn.to_out.0") and is_of_sound(
        "transformer_blocks.0.audio_attn2.to_q"
    )
    assert is_of_sound("audio_proj_out") and not is_of_sound("proj_out") and is_of_sound("av_cross_attn_audio_v2a_gate.linear")
    assert not is_of_sound("av_cross_attn_video_a2v_gate.linear")


def test_a_failure_within_takes_them_off_too(loras):
    layers = Layers()
    before = answers(layers)
    with pytest.raises(RuntimeError), LoraStack(layers, [(loras[0], Strength())]).on():
        raise RuntimeError("cancelled")
    assert np.array_equal(answers(layers)[VIDEO].detach(), before[VIDEO].detach())


def test_the_engine_runs_a_stack_and_is_itself_again(twin_folder: Path, tmp_path: Path):
    """On a tiny twin of the real transformer: a LoRA changes the clip, zero and no LoRA do not, a missing one is a sentence."""
    from pipelines.clip_io import read_media
    from pipelines.contract import GenerationRequest, InvalidRequest
    from pipelines.engine import Engine
    from pipelines.lora.file import linear_layers
    from pipelines.registry import Defaults, ModelCatalogue, spec_from_folder

    modules = linear_layers(twin_folder)
    rng = np.random.default_rng(0)
    names = [name for name in modules if name.endswith(("attn1.to_q", "ff.net.2")) and "blocks.0." in name]
    pairs = {
        n: (rng.normal(size=(2, modules[n][1])).astype("f4"), rng.normal(size=(modules[n][0], 2)).astype("f4")) for n in names
    }
    lora = read_lora(write(tmp_path / "l.safetensors", named("diffusers", pairs)), modules)
    catalogue = ModelCatalogue([spec_from_folder("twin", twin_folder, defaults=Defaults(64, 64, 9, 12.0, 2))])
    engine = Engine(catalogue, media_dir=tmp_path, device="cpu")

    def frames(name: str, *uses: dict) -> np.ndarray:
        request = catalogue.complete(GenerationRequest(prompt="a dog", model="twin", seed=1, loras=uses))
        list(engine.run(request, tmp_path / f"{name}.mp4", {f"lora:{lora.sha256}": lora.path}))
        return read_media(tmp_path / f"{name}.mp4").frames

    use = {"lora": f"lora:{lora.sha256}"}
    plain = frames("plain")
    assert not np.array_equal(plain, frames("with", use))
    assert np.array_equal(plain, frames("zero", use | {"weight": 0.0}))
    engine.cache.clear()
    assert np.array_equal(plain, frames("again"))
    missing = {"lora": "lora:" + "0" * 64}
    with pytest.raises(InvalidRequest, match="import it again"):
        frames("missing", missing)
