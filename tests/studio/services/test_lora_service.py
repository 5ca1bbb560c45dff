"""LoRAs of owners: kept once a content, seen by whoever has them, refused with a reason, compared, stacked and used by jobs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from pipelines.contract import GenerationRequest, InvalidRequest, LoraUse, NotAllowed, NotFound
from pipelines.lora.catalogue import shipped
from studio.services.loras import LoraPreset
from tests.pipelines.lora.test_lora_file import halves, named, write
from tests.studio.rooms import OWNER


def lora(folder: Path, name: str = "Neon", seed: int = 0, layout: str = "diffusers") -> Path:
    return write(folder / f"{name}.safetensors", named(layout, halves(seed)), {"trigger_words": "neon glow"})


def own(studio, owner: str = OWNER, **choice: str) -> list:
    """The owner's LoRAs without those that came with the studio."""
    return [each for each in studio.loras.list(owner, **choice) if not each.is_shipped]


def test_those_that_came_with_the_studio_are_everybodys_and_stay(idle, tmp_path):
    for owner in (OWNER, "somebody"):
        found = [each for each in idle.loras.list(owner) if each.is_shipped]
        assert [each.reference for each in found] == [*shipped()] and found
    one = next(each for each in found if "pocket" in each.models)
    assert idle.loras.get(OWNER, one.reference) == one and one.has_preview and one.description and one.created_at is None
    assert idle.loras.preview(one.reference).read_bytes()[4:8] == b"ftyp"
    with pytest.raises(NotAllowed, match="cannot be removed"):
        idle.loras.remove(OWNER, one.reference)
    with pytest.raises(NotFound):
        idle.loras.preview("lora:" + "0" * 64)
    uses = (LoraUse(lora=one.reference, weight=0.5),)
    idle.loras.save_preset("somebody", LoraPreset(name="mine", uses=uses))
    mine = idle.loras.add(OWNER, shipped()[one.reference].path, name="A copy")
    assert mine.reference == one.reference and [each.name for each in own(idle)] == ["A copy"]
    idle.loras.remove(OWNER, one.reference)
    assert own(idle) == [] and idle.loras.get(OWNER, one.reference) == one
    idle.jobs.submit("somebody", GenerationRequest(prompt="a red ball", loras=uses))
    assert idle._desk.claim().sources == {one.reference: shipped()[one.reference].path}
    with pytest.raises(InvalidRequest, match="not for ltx-2"):
        idle.jobs.submit(OWNER, GenerationRequest(prompt="a red ball", model="ltx-2", loras=uses))


def test_a_file_is_kept_with_what_it_is(idle, tmp_path):
    kept = idle.loras.add(OWNER, lora(tmp_path))
    assert "pocket" in kept.models and kept.name == "Neon" and kept.ranks == (4,) and kept.layers == 3
    assert kept.trigger_words == ("neon glow",) and own(idle) == [kept]
    assert own(idle, model="pocket") == [kept] and idle.loras.list(OWNER, model="ltx-2") == []
    path = idle.settings.loras_dir / f"{kept.reference[5:]}.safetensors"
    assert path.read_bytes() == (tmp_path / "Neon.safetensors").read_bytes()


def test_owners_see_their_own_and_share_the_file(idle, tmp_path):
    path = lora(tmp_path)
    reference = idle.loras.add(OWNER, path).reference
    for ask in (idle.loras.get, idle.loras.remove):
        with pytest.raises(NotFound):
            ask("somebody", reference)
    idle.loras.add("somebody", path, name="../../mine\n")
    assert idle.loras.get("somebody", reference).name == "_.._mine_"
    idle.loras.remove(OWNER, reference)
    assert own(idle) == [] and len([*idle.settings.loras_dir.iterdir()]) == 1
    idle.loras.remove("somebody", reference)
    assert not [*idle.settings.loras_dir.iterdir()]


def test_what_fits_no_model_leaves_nothing_behind(idle, tmp_path):
    pairs = {name: (down[:, :-1].copy(), up) for name, (down, up) in halves().items()}
    with pytest.raises(InvalidRequest, match="this model has"):
        idle.loras.add(OWNER, write(tmp_path / "x.safetensors", named("diffusers", pairs)))
    (tmp_path / "p.safetensors").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(InvalidRequest, match="pickle"):
        idle.loras.add(OWNER, tmp_path / "p.safetensors")
    assert own(idle) == [] and not idle.settings.loras_dir.exists()


def test_pairs_are_compared(idle, tmp_path):
    one, two = (idle.loras.add(OWNER, lora(tmp_path, f"l{seed}", seed)).reference for seed in (1, 2))
    opposite = {name: (down, -up) for name, (down, up) in halves(1).items()}
    against = idle.loras.add(OWNER, write(tmp_path / "o.safetensors", named("diffusers", opposite))).reference
    found = {(each.one, each.two): each for each in idle.loras.conflicts(OWNER, [one, two, against])}
    assert len(found) == 3 and found[one, against].level == "strong"
    assert np.isclose(found[one, against].cosine, -1) and abs(found[one, two].cosine) < 0.2
    assert idle.loras.conflicts(OWNER, [one, one]) == []
    with pytest.raises(NotFound):
        idle.loras.conflicts(OWNER, [one, "lora:" + "0" * 64])


def test_stacks_are_saved_and_come_back(idle, tmp_path):
    reference = idle.loras.add(OWNER, lora(tmp_path)).reference
    preset = LoraPreset(name="night", uses=(LoraUse(lora=reference, weight=0.8, audio=0.5, end=0.5),))
    idle.loras.save_preset(OWNER, preset)
    idle.loras.save_preset(OWNER, preset)
    assert idle.loras.presets(OWNER) == [preset] and idle.loras.presets("somebody") == []
    with pytest.raises(NotFound):
        idle.loras.save_preset("somebody", preset)
    idle.loras.remove_preset(OWNER, "night")
    with pytest.raises(NotFound):
        idle.loras.remove_preset(OWNER, "night")
    with pytest.raises(ValidationError):
        LoraPreset(name="", uses=preset.uses)


def test_a_job_may_use_only_what_its_owner_has_and_its_model_fits(idle, tmp_path):
    reference = idle.loras.add(OWNER, lora(tmp_path)).reference
    request = GenerationRequest(prompt="a red ball", loras=(LoraUse(lora=reference),))
    job = idle.jobs.submit(OWNER, request)
    assert job.request.loras == request.loras
    with pytest.raises(InvalidRequest, match="not among yours"):
        idle.jobs.submit("somebody", request)
    with pytest.raises(InvalidRequest, match="not for ltx-2"):
        idle.jobs.submit(OWNER, request.model_copy(update={"model": "ltx-2"}))
    lease = idle._desk.claim()
    assert lease.sources == {reference: idle.settings.loras_dir / f"{reference[5:]}.safetensors"}
