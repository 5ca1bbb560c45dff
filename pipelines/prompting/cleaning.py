"""What an instruction model wrote, made a prompt: without thoughts, greetings, headings, lists and quotation marks around it."""

from __future__ import annotations

import re

from pipelines.contract import MAX_PROMPT_CHARACTERS

_THOUGHTS = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"^\s*```\w*\s*$", re.MULTILINE)
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffd-\uffff]")
_THING = r"(?:prompt|version|description|shot list|rewrite|rewritten text)"
# Only what ends in a colon and says that a prompt follows: "Here is a man: he waves" is none.
_LABEL = re.compile(
    rf"\s*(?:(?:sure|okay|ok|certainly|of course|absolutely)\b[^:\n]{{0,60}}[!.,:]\s*)?"
    rf"(?:here(?:'s|’s| is| are)[^:\n]{{0,60}}\b{_THING}[^:\n]{{0,40}}:|(?:\w+ ){{0,2}}{_THING}\s*:|[a-z]+:(?=\s*\n))\s*",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"\n\s*\n\s*\(?(?:notes?|explanation|changes|let me know|feel free|this (?:prompt|version)|"
    r"i (?:have |'ve )?(?:added|kept|made))\b.*",
    re.DOTALL | re.IGNORECASE,
)
_HEADING, _ITEM, _RULE = re.compile(r"^#{1,6}\s+"), re.compile(r"^(?:[-*•–]|\d{1,2}[.)])\s+"), re.compile(r"^[-*_=]{3,}$")
_STRONG = re.compile(r"(\*\*|__|(?<!\w)\*(?=\S)|`)(.+?)\1")
_AROUND = {'"': '"', "“": "”", "„": "“", "«": "»", "'": "'", "‘": "’", "「": "」"}
_SENTENCE = re.compile(r"(?<=[.!?。！？])[\"”»」]?(?:\s+|$)")
_ENDS = re.compile(r"[.!?。！？][\"”»」)]?(?=\s|$)")


def cleaned(answer: str, is_whole: bool = True, most: int = MAX_PROMPT_CHARACTERS) -> str:
    """The prompt in ``answer``, in one paragraph of at most ``most`` characters; empty where there is none.

    One that is not whole, or too long, ends with its last whole sentence.
    """
    text = _STRONG.sub(r"\2", _FENCE.sub("", _INVISIBLE.sub("", _THOUGHTS.sub("", answer))))
    text = _HEADING.sub("", text.strip())
    while (label := _LABEL.match(text)) and label.end() < len(text):
        text = text[label.end() :]
    text = _joined(_REMARK.sub("", text))
    text = _once(_bare(text))
    if not is_whole or len(text) > most:
        text = _cut(text, min(most, len(text)))
    return text


def _joined(text: str) -> str:
    """The lines as sentences of one paragraph."""
    said = ""
    for line in text.splitlines():
        line = " ".join(_ITEM.sub("", _HEADING.sub("", line.strip())).split())
        if not line or _RULE.match(line):
            continue
        glue = "" if not said else " " if said.endswith((*".!?,;:。！？…", '"', "”", "]")) else ". "
        said += glue + line
    return said


def _bare(text: str) -> str:
    """``text`` without quotation marks that stand around all of it."""
    closing = _AROUND.get(text[:1])
    if closing and len(text) > 2 and text.endswith(closing) and not set(text[1:-1]) & {text[0], closing}:
        return text[1:-1].strip()
    return text


def _once(text: str) -> str:
    """``text`` without sentences that say again what the one before said, as greedy answers come to do."""
    kept: list[str] = []
    for sentence in _SENTENCE.split(text):
        if sentence and (not kept or sentence.casefold() != kept[-1].casefold()):
            kept.append(sentence)
    return text if len(kept) == len([each for each in _SENTENCE.split(text) if each]) else " ".join(kept)


def _cut(text: str, most: int) -> str:
    ends = [match.end() for match in _ENDS.finditer(text) if match.end() <= most]
    if ends:
        return text[: ends[-1]]
    return text[:most].rpartition(" ")[0] if len(text) > most else text
