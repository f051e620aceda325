"""Thinking that models write into their replies: `<think>...</think>` and its relatives are no part of an answer."""

from __future__ import annotations

import re

# Qwen, DeepSeek and others; Magistral; Cohere; gpt-oss (harmony).
OPENING = (
    "<think>", "<thinking>", "<thought>", "<reasoning>", "[think]", "<|start_thinking|>",
    "<|channel|>analysis<|message|>",
)  # fmt: skip
CLOSING = (
    "</think>", "</thinking>", "</thought>", "</reasoning>", "[/think]", "<|end_thinking|>",
    "<|channel|>final<|message|>",
)  # fmt: skip
_CLOSE = re.compile("|".join(map(re.escape, CLOSING)), re.IGNORECASE)
_OPEN = re.compile(rf"^\s*(?:{'|'.join(map(re.escape, OPENING))})", re.IGNORECASE | re.MULTILINE)
# Control pieces around an answer, where a server passes them on as text.
_CONTROL = re.compile(r"^(?:\s*<\|[^|<>]{1,40}\|>)+|(?:<\|[^|<>]{1,40}\|>\s*)+$")
_LONGEST = max(map(len, CLOSING))


def without_thinking(text: str) -> tuple[str, bool]:
    """Split the answer off what a model wrote while thinking.

    Everything up to the last closing mark is thinking, whether it was opened or not: some chat templates open it in the
    prompt.

    Returns:
        the answer, and whether all thinking was closed; thinking that goes on to the end leaves no answer after it.
    """
    closings = list(_CLOSE.finditer(text))
    if closings:
        text = text[closings[-1].end() :].lstrip()
        if closings[-1][0].startswith("<|"):
            text = _CONTROL.sub("", text)
    opened = _OPEN.search(text)
    return (text[: opened.start()], False) if opened else (text, True)


class Visible:
    """Passes text on as it streams, without a block of thinking at its beginning."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "start"
        self._thought = False

    def feed(self, text: str) -> str:
        """Return what may be shown now."""
        if self._state == "text":
            return text
        self._held += text
        shown = ""
        while self._state != "text":
            if self._state == "thinking":
                closed = _CLOSE.search(self._held)
                if not closed:
                    # Only a closing mark that is not whole yet needs its beginning.
                    self._held = self._held[-_LONGEST:]
                    break
                self._held, self._state, self._thought = self._held[closed.end() :], "start", True
            if self._thought:
                self._held = self._held.lstrip()
            begin = self._held.lstrip().lower()
            if begin.startswith(OPENING):
                self._state = "thinking"
            elif any(opening.startswith(begin) for opening in OPENING):
                break
            else:
                shown, self._held, self._state = self._held, "", "text"
        return shown

    def rest(self) -> str:
        """Return what was held back until the end."""
        return self._held if self._state == "start" else ""
