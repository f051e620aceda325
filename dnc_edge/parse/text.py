"""Clean up replies: thinking, HTML, digits of other scripts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_THINKING = re.compile(r"<(think|thinking|thought|reasoning)>.*?(?:</\1>|\Z)", re.IGNORECASE | re.DOTALL)
# Some chat templates open the block in the prompt, so a reply holds only its end.
_THINKING_END = re.compile(r"\A.*</(?:think|thinking|thought|reasoning)>", re.IGNORECASE | re.DOTALL)
_BREAK_TAGS = re.compile(r"<\s*(?:br|/?(?:p|li|ol|ul|div|h[1-6]|q\d*|sub-?_?questions?\d*))\s*/?\s*>", re.IGNORECASE)
_INLINE_TAGS = re.compile(
    r"</?(?:b|i|u|em|strong|span|code|mark|sub|sup|font|answer)(?:\s[^<>\n]{0,80})?>", re.IGNORECASE
)


def fold(text: str) -> str:
    """Fold case and spacing; two sub-questions with the same result are exact repeats."""
    return " ".join(text.lower().split())


def without_repeats(subquestions: Iterable[str]) -> list[str]:
    """Remove exact repeats; the first of each is kept, in order."""
    kept: dict[str, str] = {}
    for subquestion in subquestions:
        kept.setdefault(fold(subquestion), subquestion)
    return list(kept.values())


def without_thinking(text: str) -> str:
    """Remove the blocks in which a model thinks; an unclosed one goes to the end."""
    if "<" not in text:
        return text
    return _THINKING_END.sub("", _THINKING.sub("", text))


def without_tags(text: str) -> str:
    """Remove HTML tags; those that break a line become line breaks."""
    if "<" not in text:
        return text
    return _INLINE_TAGS.sub("", _BREAK_TAGS.sub("\n", text))


def ascii_digits(text: str) -> str:
    """Replace decimal digits of any script and width by 0-9."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() and not c.isascii() else c for c in text)
