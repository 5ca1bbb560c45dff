"""A prompt read into entities and intents by lexicon and rule: at once, offline, and the same every time."""

from __future__ import annotations

import re

from pipelines.prompting.kinds import Analysis, Entity, EntityKind, Intent
from pipelines.prompting.lexicon import LANGUAGES, UNSPACED, WORD, Meaning, lexicon
from pipelines.prompting.spans import Spaced, Unspaced

# What is said, without its quotation marks; an apostrophe is none.
QUOTED = re.compile(
    r'"([^"]+)(?:"|\Z)|“([^”]+)(?:”|\Z)|„([^“”]+)(?:[“”]|\Z)|«\s*([^»]+?)\s*(?:»|\Z)|「([^」]+)(?:」|\Z)|『([^』]+)』'
)
_KANA = re.compile(r"[\u3040-\u30ff]")
_HAN = re.compile(r"[\u3400-\u9fff]")


def language_of(prompt: str) -> str:
    """The language of a prompt, one of ``LANGUAGES``: by its letters, then by which lexicon knows most of its words.

    English where nothing speaks for another.
    """
    shown = QUOTED.sub(" ", prompt)
    shown = shown if WORD.search(shown) else prompt
    if _KANA.search(shown):
        return "ja"
    if _HAN.search(shown):
        return "zh"
    words = [word.lower() for word in WORD.findall(shown)]

    def score(language: str) -> float:
        held = lexicon(language)
        known = sum((word,) in held.phrases or any(word.startswith(stem) for stem in held.stems) for word in words)
        return 2 * sum(word in held.glue for word in words) + known

    return max((language for language in LANGUAGES if language not in UNSPACED), key=score)  # English is the first of equals


def analyse(prompt: str) -> Analysis:
    """What ``prompt`` asks for and what it names; an empty one has nothing."""
    language = language_of(prompt)
    held = lexicon(language)
    spoken = [
        Entity(EntityKind.SPEECH, prompt[start:end], start, end)
        for match in QUOTED.finditer(prompt)
        for start, end in [match.span(match.lastindex or 0)]
    ]
    # Blanks of the same length keep every position as it is.
    silent = QUOTED.sub(lambda match: " " * len(match[0]), prompt)
    read = Unspaced(held, silent) if language in UNSPACED else Spaced(held, silent)
    found = [
        (Entity(_kind(meaning), prompt[start:end], start, end, meaning.concept), meaning) for start, end, meaning in read.found()
    ]
    entities = sorted([*spoken, *(entity for entity, _ in found)], key=lambda entity: entity.start)
    manners = {meaning.manner for _, meaning in found}
    intents = _intents(entities, manners, {intent for intent, phrases in held.cues.items() if read.has(phrases)})
    return Analysis(prompt, language, intents, tuple(entities))


def _kind(meaning: Meaning) -> EntityKind:
    assert meaning.kind is not None
    return meaning.kind


_SHOWN_BY = {
    EntityKind.PLACE: Intent.SCENE,
    EntityKind.TIME: Intent.SCENE,
    EntityKind.SPEECH: Intent.SPEECH,
    EntityKind.CAMERA: Intent.CAMERA,
    EntityKind.EMOTION: Intent.MOOD,
    EntityKind.WEATHER: Intent.NATURE,
    EntityKind.STYLE: Intent.STYLE,
}
_BY_MANNER = {"moving": Intent.ACTION, "speaking": Intent.SPEECH, "singing": Intent.MUSIC}


def _intents(entities: list[Entity], manners: set[str], cued: set[Intent]) -> tuple[Intent, ...]:
    found = {_SHOWN_BY[each.kind] for each in entities if each.kind in _SHOWN_BY}
    found |= {_BY_MANNER[manner] for manner in manners if manner in _BY_MANNER}
    found |= cued
    if any(each.kind is EntityKind.SOUND and not _is_music(each) for each in entities):
        found.add(Intent.SOUND)
    return tuple(intent for intent in Intent if intent in found)


_MUSICAL = re.compile(
    r"music|drum|song|jazz|techno|guitar|piano|violin|cello|saxophone|flute|trumpet|harp|melod|waltz|tango|hymn|lullaby|score|"
    r"hip.hop|blues|reggae|salsa|opera|concert|accordion|beat|percussion|choral|metal|soundtrack|soft bells|guitarra|klavier|"
    r"geige|gitarre|lied|chanson|tambour|trommel|canci|batería|batterie|schlagzeug|silen|stille|no sound|without sound|"
    r"音楽|太鼓|ドラム|ギター|ピアノ|バイオリン|ジャズ|テクノ|音乐|鼓|吉他|钢琴|小提琴|爵士"
)


def _is_music(entity: Entity) -> bool:
    """Whether a sound is music, or its absence."""
    if entity.concept and entity.concept[0] == "sound":
        return True
    return bool(_MUSICAL.search(entity.text.lower())) and entity.text.lower() != "heartbeat"
