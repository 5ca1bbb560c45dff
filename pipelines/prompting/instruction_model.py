"""An instruction model of transformers that writes prompts: greedy, within bounds, the same answer for the same question."""

from __future__ import annotations

from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipelines.models.local import LocalModel, check_length, device_for, located, pretrained, sound
from pipelines.prompting.exchange import Written

ROLE = "enhancer"
_SEED = 10  # as LTX-2's own enhancement; greedy answers hardly depend on it


class InstructionModel:
    """One loaded model; use ``load``."""

    def __init__(self, local: LocalModel, tokenizer: Any, network: Any) -> None:
        self.local = local
        self._tokenizer = tokenizer
        self._network = network

    @classmethod
    def load(cls, name: str, device: str) -> InstructionModel:
        """The model that ``name`` (hub id or folder) says. Raises ``ModelNotFound`` or ``OutOfMemory``."""
        local = located(name, ROLE)
        with sound(local):
            tokenizer = AutoTokenizer.from_pretrained(local.words, local_files_only=True)
            if tokenizer.chat_template is None:
                raise local.refused("has no chat template: choose a model that was made to follow instructions")
            return cls(local, tokenizer, pretrained(AutoModelForCausalLM, local, device_for(local, device)))

    def write(self, system: str, user: str, *, tokens: int, seconds: float) -> Written:
        """Its greedy answer, cut after ``tokens`` tokens or ``seconds`` seconds. Raises ``InvalidRequest`` or ``OutOfMemory``."""
        with sound(self.local), torch.inference_mode():
            asked = self._asked(system, user).to(self._network.device)
            begin = asked["input_ids"].shape[1]
            most = getattr(self._network.config.get_text_config(), "max_position_embeddings", None)
            check_length(begin + tokens, most, ROLE)
            torch.manual_seed(_SEED)
            answer = self._network.generate(
                **asked,
                do_sample=False,
                num_beams=1,
                # What a checkpoint recommends for sampling means nothing here, and transformers would say so each time.
                temperature=None,
                top_p=None,
                top_k=None,
                max_new_tokens=tokens,
                max_time=seconds,
                pad_token_id=self._padding(),
            )[0, begin:]
        return Written(self._tokenizer.decode(answer, skip_special_tokens=True), self._has_ended(answer))

    def _asked(self, system: str, user: str) -> Any:
        """The conversation in tokens. Some templates (Gemma 2) know no system turn: it then opens the user's."""
        turns = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        # ``enable_thinking``: Qwen 3 and others would spend the tokens on thoughts; templates without that switch ignore it.
        options: dict[str, Any] = {"add_generation_prompt": True, "return_dict": True, "return_tensors": "pt"}
        try:
            return self._tokenizer.apply_chat_template(turns, enable_thinking=False, **options)
        except TemplateError:
            merged = [{"role": "user", "content": f"{system}\n\n{user}"}]
            return self._tokenizer.apply_chat_template(merged, enable_thinking=False, **options)

    def _ends(self) -> list[int]:
        """The tokens that end an answer, by the checkpoint or the tokenizer."""
        named = self._network.generation_config.eos_token_id
        return [named] if isinstance(named, int) else list(named or [self._tokenizer.eos_token_id])

    def _has_ended(self, answer_N: torch.Tensor) -> bool:
        return len(answer_N) > 0 and int(answer_N[-1]) in self._ends()

    def _padding(self) -> int:
        named = self._tokenizer.pad_token_id
        return int(self._ends()[0] if named is None else named)
