"""Languages that a translator may be asked for: their codes, and which one a prompt is in. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.contract import InvalidRequest
from pipelines.prompting.reading import QUOTED, language_of


@dataclass(frozen=True)
class Language:
    """``code`` is ISO 639-1, as M2M100 has it; ``others`` are ISO 639-2/3, as Marian has them; ``nllb`` is FLORES-200's."""

    code: str
    name: str
    nllb: str
    others: tuple[str, ...]


_ALL = (
    Language("en", "English", "eng_Latn", ("eng",)),
    Language("fr", "French", "fra_Latn", ("fra", "fre")),
    Language("de", "German", "deu_Latn", ("deu", "ger")),
    Language("es", "Spanish", "spa_Latn", ("spa",)),
    Language("ja", "Japanese", "jpn_Jpan", ("jpn", "jap")),
    Language("zh", "Chinese", "zho_Hans", ("zho", "chi", "cmn")),
    Language("it", "Italian", "ita_Latn", ("ita",)),
    Language("pt", "Portuguese", "por_Latn", ("por",)),
    Language("nl", "Dutch", "nld_Latn", ("nld", "dut")),
    Language("sv", "Swedish", "swe_Latn", ("swe",)),
    Language("da", "Danish", "dan_Latn", ("dan",)),
    Language("fi", "Finnish", "fin_Latn", ("fin",)),
    Language("pl", "Polish", "pol_Latn", ("pol",)),
    Language("cs", "Czech", "ces_Latn", ("ces", "cze")),
    Language("hu", "Hungarian", "hun_Latn", ("hun",)),
    Language("ro", "Romanian", "ron_Latn", ("ron", "rum")),
    Language("tr", "Turkish", "tur_Latn", ("tur",)),
    Language("id", "Indonesian", "ind_Latn", ("ind",)),
    Language("vi", "Vietnamese", "vie_Latn", ("vie",)),
    Language("ru", "Russian", "rus_Cyrl", ("rus",)),
    Language("uk", "Ukrainian", "ukr_Cyrl", ("ukr",)),
    Language("el", "Greek", "ell_Grek", ("ell", "gre")),
    Language("ar", "Arabic", "arb_Arab", ("ara", "arb")),
    Language("fa", "Persian", "pes_Arab", ("fas", "pes", "per")),
    Language("he", "Hebrew", "heb_Hebr", ("heb",)),
    Language("hi", "Hindi", "hin_Deva", ("hin",)),
    Language("bn", "Bengali", "ben_Beng", ("ben",)),
    Language("th", "Thai", "tha_Thai", ("tha",)),
    Language("ko", "Korean", "kor_Hang", ("kor",)),
)
BY_CODE = {language.code: language for language in _ALL}

# Alphabets that no lexicon reads; the second of two that share one is told by letters that the first lacks.
_LETTERS = (
    ("uk", re.compile(r"[іїєґІЇЄҐ]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("el", re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]")),
    ("fa", re.compile(r"[پچژگ]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("bn", re.compile(r"[\u0980-\u09ff]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("ko", re.compile(r"[\uac00-\ud7af\u1100-\u11ff]")),
)


def language_named(code: str) -> Language:
    """The language of a two-letter code. Raises ``InvalidRequest``."""
    if code not in BY_CODE:
        raise InvalidRequest(f"language is {code[:20]!r}; use one of {', '.join(BY_CODE)}.", field="language")
    return BY_CODE[code]


def spoken(prompt: str) -> Language:
    """The language of a prompt: by its alphabet where no lexicon reads that, else as ``language_of`` finds.

    Languages in Latin letters that have no lexicon count as English here: they have to be named.
    """
    shown = QUOTED.sub(" ", prompt)
    return BY_CODE[next((code for code, letters in _LETTERS if letters.search(shown)), None) or language_of(prompt)]
