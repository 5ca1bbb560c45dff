"""The embedded model's tokenizer: Gemma's class with a vocabulary of the world's words, letters and bytes."""

from __future__ import annotations

from transformers import GemmaTokenizer

from pipelines.world.words import vocabulary

_SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")


def build_tokenizer(max_tokens: int) -> GemmaTokenizer:
    """One token for each word of the world; other words fall apart into letters, other scripts into bytes.

    A word's merges join it letter by letter from the left, so that ``bo`` + ``u`` + ... ends in one token.
    """
    tokens = {token: index for index, token in enumerate(_SPECIAL)}
    for byte in range(256):
        tokens.setdefault(f"<0x{byte:02X}>", len(tokens))
    for letter in "▁" + "".join(map(chr, range(33, 127))):
        tokens.setdefault(letter, len(tokens))
    merges: dict[tuple[str, str], None] = {}
    words = vocabulary()
    # A space becomes the mark before the next word, so a word inside a prompt begins with it; only the first does not.
    # Marked merges come first: else "at" would be joined inside "that" before the whole word is.
    for written in [f"▁{word}" for word in words] + [word.capitalize() for word in words] + words:
        for end in range(2, len(written) + 1):
            merges.setdefault((written[: end - 1], written[end - 1]))
            tokens.setdefault(written[:end], len(tokens))
    return GemmaTokenizer(vocab=tokens, merges=list(merges), model_max_length=max_tokens)
