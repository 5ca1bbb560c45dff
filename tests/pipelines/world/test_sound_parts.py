"""The world's sounds are exact, repeatable, and apart from each other in the picture a model learns from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import librosa
import numpy as np
import pytest

from pipelines.world.ambience import PLACES, ambience
from pipelines.world.impacts import MATERIALS, add_part, glide, impact, rumble, whoosh
from pipelines.world.music import KINDS, music
from pipelines.world.speech import (
    CONSONANTS,
    VOICES,
    VOWELS,
    Phoneme,
    mouth_opening,
    mouth_width,
    plan_song,
    plan_speech,
    speak,
)

RATE = 16_000
DURATION_S = 2.1
SAMPLES = round(DURATION_S * RATE)
BEATS_S = (0.2, 0.6, 1.0, 1.4, 1.8)

Draw = Callable[[str, np.random.Generator], np.ndarray]


def _beats(rng: np.random.Generator) -> list[float]:
    return list(np.arange(rng.uniform(0.08, 0.3), DURATION_S - 0.1, rng.uniform(0.35, 0.6)))


def _hit(material: str, rng: np.random.Generator) -> np.ndarray:
    return impact(material, rng.uniform(0, 1), RATE, rng)


def _rolling(material: str, rng: np.random.Generator) -> np.ndarray:
    return rumble(np.full(SAMPLES, rng.uniform(0.3, 1.0)), material, RATE, rng)


def _tune(kind: str, rng: np.random.Generator) -> np.ndarray:
    return music(kind, _beats(rng), DURATION_S, RATE, rng)


def _talk(voice: str, rng: np.random.Generator) -> np.ndarray:
    return speak(plan_speech(DURATION_S, rng), voice, DURATION_S, RATE, rng)


def _song(voice: str, rng: np.random.Generator) -> np.ndarray:
    return speak(plan_song(_beats(rng), DURATION_S, rng), voice, DURATION_S, RATE, rng, melody=True)


def _vowel(symbol: str, rng: np.random.Generator) -> np.ndarray:
    return speak([Phoneme(symbol, 0.1, 0.3)], VOICES[int(rng.integers(3))], 0.4, RATE, rng)


def _place(place: str, rng: np.random.Generator) -> np.ndarray:
    return ambience(place, SAMPLES, RATE, rng)


FAMILIES: dict[str, tuple[Sequence[str], Draw]] = {
    "impacts": (MATERIALS, _hit),
    "rolling": (MATERIALS, _rolling),
    "music": (KINDS, _tune),
    "speech": (VOICES, _talk),
    "song": (VOICES, _song),
    "vowels": (VOWELS, _vowel),
    "ambience": (PLACES, _place),
}


def _onset_strength(sound: np.ndarray, hop: int = 256) -> np.ndarray:
    return librosa.onset.onset_strength(y=sound.astype(np.float32), sr=RATE, hop_length=hop)


def _rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(sound**2)))


def _log_mel(sound: np.ndarray) -> np.ndarray:
    """What the model sees, averaged over time, as ``[64]``."""
    mel = librosa.feature.melspectrogram(y=sound.astype(np.float32), sr=RATE, n_fft=1024, hop_length=256, n_mels=64, power=1.0)
    return np.log(mel + 1e-3).mean(1)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_kind_is_repeatable_finite_and_unclipped(family: str) -> None:
    names, draw = FAMILIES[family]
    for name in names:
        for seed in range(3):
            one, two = (draw(name, np.random.default_rng(seed)) for _ in range(2))
            np.testing.assert_array_equal(one, two)
            assert one.ndim == 1
            assert np.isfinite(one).all()
            assert 0.02 < np.abs(one).max() < 0.98, (name, seed)
        assert not np.array_equal(draw(name, np.random.default_rng(0)), draw(name, np.random.default_rng(1)))


@pytest.mark.parametrize("family", FAMILIES)
def test_kinds_are_apart_in_a_log_mel_picture(family: str) -> None:
    names, draw = FAMILIES[family]
    seen = np.array([[_log_mel(draw(name, np.random.default_rng((7, seed)))) for seed in range(20)] for name in names])
    centres = seen[:, :10].mean(1)
    nearest = ((seen[:, 10:, None] - centres) ** 2).sum(-1).argmin(-1)
    assert (nearest == np.arange(len(names))[:, None]).mean() >= 0.95


@pytest.mark.parametrize("material", MATERIALS)
def test_impacts_begin_at_once_and_die_away(material: str) -> None:
    for seed in range(10):
        sound = np.abs(impact(material, 0.5, RATE, np.random.default_rng(seed)))
        assert np.argmax(sound > 0.5 * sound.max()) <= 0.002 * RATE
        assert sound[-RATE // 50 :].max() < 0.02 * sound.max()
        late = sound[round(0.15 * RATE) :].max() / sound.max()
        assert late < 0.1 if material in ("rubber", "wood") else late > 0.1


@pytest.mark.parametrize("material", MATERIALS)
def test_a_stronger_impact_is_louder_and_brighter(material: str) -> None:
    hits = [impact(material, strength, RATE, np.random.default_rng(3)) for strength in (0.0, 0.5, 1.0)]
    loudness = [_rms(hit) for hit in hits]
    brightness = [float(librosa.feature.spectral_centroid(y=hit.astype(np.float32), sr=RATE).mean()) for hit in hits]
    assert loudness == sorted(loudness)
    assert brightness == sorted(brightness)
    assert [round(float(np.abs(hit).max()), 6) for hit in hits] == [0.25, 0.525, 0.8]


def test_movement_follows_its_level_and_glides_follow_their_share() -> None:
    rng = np.random.default_rng(0)
    level = np.repeat((0.0, 0.3, 1.0), SAMPLES // 3)
    for sound in (whoosh(level, RATE, rng), *(rumble(level, material, RATE, rng) for material in MATERIALS)):
        quiet, soft, loud = (_rms(part) for part in np.split(sound, 3))
        assert quiet == 0
        assert 2 * soft < loud < 0.4
    tone = glide(np.linspace(0, 1, SAMPLES), np.ones(SAMPLES), 220.0, RATE)
    pitch = librosa.yin(tone, fmin=100, fmax=800, sr=RATE)
    share = np.linspace(0, 1, len(pitch))
    assert np.abs(np.log2(pitch / 220) - share)[5:-5].max() < 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_every_beat_and_nothing_else_is_an_onset(kind: str) -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        beats = _beats(rng)
        sound = music(kind, beats, DURATION_S, RATE, rng).astype(np.float32)
        found = librosa.onset.onset_detect(y=sound, sr=RATE, hop_length=64, units="time", delta=0.2)
        assert len(found) == pytest.approx(len(beats), abs=1)
        assert max(np.abs(found - beat).min() for beat in beats) < 0.025


@pytest.mark.parametrize("kind", KINDS)
def test_a_beat_changes_no_sample_before_its_time(kind: str) -> None:
    with_all, without_last = (music(kind, beats, DURATION_S, RATE, np.random.default_rng(5)) for beats in (BEATS_S, BEATS_S[:-1]))
    first, second = round(1.8 * RATE), round(1.805 * RATE)
    hat = slice(round(1.6 * RATE), round(1.66 * RATE))  # the tick between the last two beats goes with the last
    added = with_all / np.abs(with_all).max() - without_last / np.abs(with_all).max()
    added[hat] = 0
    assert np.abs(added[:first]).max() < 1e-6
    assert np.abs(added[first:second]).max() > 0.1


@pytest.mark.parametrize("place", PLACES)
def test_an_impact_stands_out_of_every_place(place: str) -> None:
    for seed, material in enumerate(MATERIALS):
        rng = np.random.default_rng(seed)
        background = ambience(place, SAMPLES, RATE, rng)
        assert 0.025 < _rms(background) < 0.06
        sound = background.copy()
        add_part(sound, 1.0, impact(material, 0.3, RATE, rng), RATE)
        with_hit, alone = _onset_strength(sound)[8:-4], _onset_strength(background)[8:-4]
        assert alone.max() < 0.8 * with_hit.max()
        assert abs((np.argmax(with_hit) + 8) * 256 / RATE - 1.0) < 0.05  # the detector looks through windows of 128 ms


@pytest.mark.parametrize("melody", [False, True])
@pytest.mark.parametrize("voice", VOICES)
def test_loudness_follows_the_mouth(voice: str, melody: bool) -> None:
    times = (np.arange(round(DURATION_S * 12)) + 0.5) / 12
    agreement = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        phonemes = plan_song(BEATS_S, DURATION_S, rng) if melody else plan_speech(DURATION_S, rng)
        sound = speak(phonemes, voice, DURATION_S, RATE, rng, melody)
        loudness = [_rms(sound[round((t - 1 / 24) * RATE) : round((t + 1 / 24) * RATE)]) for t in times]
        agreement.append(np.corrcoef(mouth_opening(phonemes, times), loudness)[0, 1])
    assert np.mean(agreement) > 0.88
    assert min(agreement) > 0.75


def test_speech_is_planned_in_words_and_songs_on_the_beat() -> None:
    rates = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        spoken, sung = plan_speech(DURATION_S, rng), plan_song(BEATS_S, DURATION_S, rng)
        assert 0.05 <= spoken[0].start_s <= 0.3
        assert max(spoken[-1].end_s, sung[-1].end_s) < DURATION_S
        for plan in (spoken, sung):
            assert all(one.end_s <= two.start_s for one, two in pairwise(plan))
        assert tuple(phoneme.start_s for phoneme in sung if phoneme.symbol in VOWELS) == BEATS_S
        rates.append(sum(phoneme.symbol in VOWELS for phoneme in spoken) / (spoken[-1].end_s - spoken[0].start_s))
    assert 3.0 < np.mean(rates) < 4.5


def test_the_mouth_is_closed_for_m_b_p_and_in_pauses_where_the_voice_is_silent() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        phonemes = plan_speech(DURATION_S, rng)
        sound = speak(phonemes, VOICES[seed % 4], DURATION_S, RATE, rng)
        times = np.arange(SAMPLES) / RATE
        opening, width = mouth_opening(phonemes, times), mouth_width(phonemes, times)
        assert 0 <= opening.min() <= opening.max() <= 1
        assert 0 <= width.min() <= width.max() <= 1
        said = np.zeros(SAMPLES, bool)
        for phoneme in phonemes:
            inside = (times >= phoneme.start_s) & (times <= phoneme.end_s)
            said |= inside
            if phoneme.symbol in "mbp":
                assert opening[inside].min() == pytest.approx(0, abs=1e-9)
        assert not sound[~said].any()
        assert opening[times < phonemes[0].start_s - 0.03].max() == 0


def test_vowels_open_and_widen_the_mouth_as_they_should() -> None:
    middle = np.array([0.2])
    opening = {symbol: mouth_opening([Phoneme(symbol, 0.1, 0.3)], middle)[0] for symbol in VOWELS + CONSONANTS}
    width = {symbol: mouth_width([Phoneme(symbol, 0.1, 0.3)], middle)[0] for symbol in VOWELS}
    assert opening["a"] > opening["e"] == opening["o"] > opening["i"] == opening["u"] > opening["s"] > opening["m"] == 0
    assert width["i"] > width["e"] > width["a"] > width["o"] > width["u"]
