"""A translation model of transformers, Marian, M2M100 or NLLB, that says sentences in English."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from pipelines.contract import InvalidRequest
from pipelines.models.local import LocalModel, check_length, device_for, located, pretrained, sound
from pipelines.prompting.languages import BY_CODE, Language, language_named

ROLE = "translator"
_KINDS = ("marian", "m2m_100")  # NLLB is of the second kind, with codes of its own
_ENGLISH = BY_CODE["en"]
_BEAMS = 4
_MORE_TOKENS, _TIMES_TOKENS = 32, 2
"""How much longer than the original a translation may be."""


class TranslationModel:
    """One loaded model; use ``load``."""

    def __init__(self, local: LocalModel, tokenizer: Any, network: Any) -> None:
        self.local = local
        self._tokenizer = tokenizer
        self._network = network

    @classmethod
    def load(cls, name: str, device: str) -> TranslationModel:
        """The model that ``name`` (hub id or folder) says. Raises ``ModelNotFound`` or ``OutOfMemory``."""
        local = located(name, ROLE)
        if local.kind not in _KINDS:
            raise local.refused(f"is of the kind {local.kind or 'unknown'!r}: choose a Marian, M2M100 or NLLB model")
        with sound(local):
            tokenizer = AutoTokenizer.from_pretrained(local.words, local_files_only=True)
            model = cls(local, tokenizer, None)
            model._begin_of(_ENGLISH)
            model._network = pretrained(AutoModelForSeq2SeqLM, local, device_for(local, device))
            return model

    def translate(self, sentences: tuple[str, ...], language: str, *, seconds: float) -> tuple[str, ...]:
        """A sentence in English for each, by beam search and the same each time.

        Raises ``InvalidRequest`` for a language that the model does not read, or a sentence that is too long for it.
        """
        source = language_named(language)
        with sound(self.local), torch.inference_mode():
            prefix, options = self._from(source)
            asked = self._tokenizer([prefix + sentence for sentence in sentences], return_tensors="pt", padding=True)
            length = asked["input_ids"].shape[1]
            check_length(length, getattr(self._network.config, "max_position_embeddings", None), ROLE)
            found = self._network.generate(
                **asked.to(self._network.device),
                **options,
                do_sample=False,
                num_beams=_BEAMS,
                max_new_tokens=_TIMES_TOKENS * length + _MORE_TOKENS,
                max_length=None,
                max_time=seconds,
            )
            if not (found[:, 1:] == self._network.generation_config.eos_token_id).any(1).all():
                raise InvalidRequest(
                    f"translator {self.local.shown} came to no end in {seconds:g} s: say it in shorter sentences, or in English.",
                    field="prompt",
                )
            texts = self._tokenizer.batch_decode(found, skip_special_tokens=True)
            # M2M100 does not count its tokens of languages among the special ones.
            said = tuple(text.removeprefix(self._begin_of(_ENGLISH).strip()).strip() for text in texts)
        if not all(said):
            raise InvalidRequest(f"translator {self.local.shown} found no words for this: say it in English.", field="prompt")
        return said

    def _from(self, source: Language) -> tuple[str, dict[str, Any]]:
        """What stands before each sentence, and what generating has to be told, for a source language."""
        if self.local.kind == "marian":
            self._check_source(source)
            return self._begin_of(_ENGLISH), {}
        self._begin_of(source)
        self._tokenizer.src_lang = source.nllb if self._is_nllb else source.code
        return "", {"forced_bos_token_id": self._tokenizer.convert_tokens_to_ids(self._begin_of(_ENGLISH))}

    @property
    def _is_nllb(self) -> bool:
        return type(self._tokenizer).__name__.startswith("Nllb")

    def _begin_of(self, language: Language) -> str:
        """The token that stands for a language; empty for a Marian model into one language. Raises where there is none."""
        if self.local.kind == "marian":
            return self._marian_target()
        token = language.nllb if self._is_nllb else f"__{language.code}__"
        if self._tokenizer.convert_tokens_to_ids(token) in (None, self._tokenizer.unk_token_id):
            raise InvalidRequest(
                f"language is {language.name}, which the translator {self.local.shown} does not know: say it in English.",
                field="language",
            )
        return token

    def _marian_target(self) -> str:
        """``>>eng<<`` for a model into several languages. Raises ``ModelNotFound`` for one that does not speak English."""
        several = [code.strip("><") for code in self._tokenizer.supported_language_codes]
        english = (_ENGLISH.code, *_ENGLISH.others)
        if several:
            own = next((code for code in several if code in english), None)
            if own is not None:
                return f">>{own}<< "
        if several or (self._tokenizer.target_lang or "en") not in english:
            raise self.local.refused("does not translate into English: choose another")
        return ""

    def _check_source(self, source: Language) -> None:
        """A Marian model names one language, which must be the prompt's, or a group of them (``mul``, ``ROMANCE``)."""
        named = self._tokenizer.source_lang
        other = next((each for each in BY_CODE.values() if named in (each.code, *each.others)), None)
        if other is not None and other != source:
            raise InvalidRequest(
                f"language is {source.name}, but the translator {self.local.shown} reads {other.name}: say it in English.",
                field="language",
            )
