"""The one reader of replies: whatever a server sends becomes a typed `Reply`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from dnc_edge.errors import (
    SolverBadReply,
    SolverBrokenReply,
    SolverCut,
    SolverEmpty,
    SolverError,
    SolverFiltered,
    SolverRefused,
    SolverServerError,
)
from dnc_edge.remote.refusals import find_error, refusal, words
from dnc_edge.remote.thinking import Visible, without_thinking
from dnc_edge.remote.usage import counted
from dnc_edge.types import Usage

# Why a model stopped, in lower case with "_" between words. Anything that no pattern knows is an error.
GOOD = re.compile(
    r"stop(ped)?|stop_(sequence|string|token|str|word)s?|eos|eos_token(_id)?|end|end_of_(text|turn|sequence|message)|"
    r"end_turn|endoftext|completed?|done|finish(ed)?|normal|success|<.+>|\[.+\]"
)
CUT = re.compile(r".*(length|max_?(new_|output_|completion_)?tokens?|token_?limit|truncat|context_window).*")
FILTERED = re.compile(
    r".*(filter|safety|moderat|sensitive|block|prohibit|recitation|spii|toxic|guardrail|censor|policy|flagged|risk).*"
)
REFUSED = re.compile(r".*refus.*")
TOOL = re.compile(r".*(tool|function).*")
SERVER = re.compile(r".*(error|abort|cancel|insufficient|overload|timeout|interrupt|network).*")

THINKING_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_text")


@dataclass(frozen=True)
class Reply:
    """What came of one attempt.

    Attributes:
        text: the answer, without any thinking; of a reply that is not complete, what was passed on.
        finish_reason: why the model stopped, in the provider's word; "" if it did not say.
        usage: the provider's counts, or an estimate if it sent none that can be believed (`remote/usage.py`).
        complete: whether the reply was read to its end. A complete reply is billed, of use or not.
        error: why it is no answer; None for an answer.
    """

    text: str
    finish_reason: str
    usage: Usage
    complete: bool = True
    error: SolverError | None = None


class Reading:
    """Gathers the JSON values of one response into a `Reply`.

    Args:
        name: of the model, for messages.
        sent: the text that was sent; counts below it are not believed.
        limit: output tokens that were asked for.
    """

    def __init__(self, name: str, *, sent: str, limit: int | None) -> None:
        self.name, self.sent, self.limit = name, sent, limit
        self.error: SolverError | None = None
        self._visible = Visible()
        self._parts: list[str] = []
        self._half = ""  # the first half of a surrogate pair whose second half has not come yet
        self._refusal: list[str] = []
        self._received: list[str] = []  # all that was generated: answer, thinking, refusal, tool calls, other choices
        self._finish = ""
        self._usage: Any = None
        self._choice: Any = None  # the index of the choice that is read
        self._choices = False
        self._streamed = False
        self._tool = self._thought = False
        self._passed_on = ""

    def feed(self, value: Any) -> str:
        """Take in one JSON value; return the text of it that may be shown."""
        if isinstance(value, list):
            return "".join([self.feed(item) for item in value])
        if not isinstance(value, dict):
            return ""
        if (found := find_error(value)) is not None:
            self.error = self.error or refusal(self.name, found)
        for holder in (value, value.get("x_groq")):
            if isinstance(holder, dict):
                self._usage = holder.get("usage") or self._usage
        choices = value.get("choices")
        shown = [self._read(choice) for choice in _list(choices) if isinstance(choice, dict)]
        text = "".join(shown)
        self._passed_on += text
        return text

    def _read(self, choice: dict[str, Any]) -> str:
        self._choices = True
        if (found := find_error(choice)) is not None:
            self.error = self.error or refusal(self.name, found)
        index = choice.get("index") or 0
        if self._choice is None:
            self._choice = index
        delta, message = choice.get("delta"), choice.get("message")
        if isinstance(delta, dict):
            self._streamed = True
        elif isinstance(message, dict) and not self._streamed:
            delta = message
        elif not isinstance(message, dict) and isinstance(choice.get("text"), str):
            delta = {"content": choice["text"]}
        else:
            delta = {}
        text, thinking, refused = _content(delta.get("content"))
        thinking += next((found for name in THINKING_FIELDS if (found := _plain(delta.get(name)))), "")
        refused += _plain(delta.get("refusal"))
        tools = delta.get("tool_calls") or delta.get("function_call")
        self._received += [text, thinking, refused, str(tools) if tools else ""]
        if index != self._choice:
            return ""
        self._thought = self._thought or bool(thinking.strip())
        self._tool = self._tool or bool(tools)
        if refused:
            self._refusal.append(refused)
        if isinstance(finish := choice.get("finish_reason"), str) and finish.strip():
            self._finish = finish.strip()
        text = self._whole(text)
        self._parts.append(text)
        return self._visible.feed(text) if text else ""

    def _whole(self, text: str) -> str:
        """Surrogate pairs that were split over two deltas are joined; lone surrogates become U+FFFD."""
        if not self._half and text.isascii():
            return text
        text, self._half = self._half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def reply(
        self, *, done: bool = False, failure: SolverError | None = None, broken: str = "", instead: str = ""
    ) -> Reply:
        """Judge what was read.

        Args:
            done: whether the server said that the stream is over.
            failure: what ended the reading early, if anything did.
            broken: JSON that could not be read: some of the reply may be missing.
            instead: what came that is no chat completion, for the message.
        """
        if self._half:
            self._parts.append("�")
            self._half = ""
        text, closed = without_thinking("".join(self._parts))
        # Without a reason to stop, a stream is whole only if the server closed it in form.
        complete = self.error is None and bool(self._finish or (self._choices and (done or not self._streamed)))
        error = self.error or (None if complete else failure)
        if error is None and broken:
            complete = False
            error = SolverBrokenReply(f"{self.name} sent JSON that cannot be read: {words(broken)}")
        error = error or self._fault(text, closed, complete, words(instead))
        return Reply(
            text=text if complete else self._passed_on,
            finish_reason=self._finish or ("stop" if complete else ""),
            usage=counted(self._usage, sent=self.sent, received="".join(self._received)),
            complete=complete,
            error=error,
        )

    def rest(self) -> str:
        """Return text that was held back, once nothing follows."""
        rest = self._visible.rest()
        self._passed_on += rest
        return rest

    def _fault(self, text: str, closed: bool, complete: bool, instead: str) -> SolverError | None:
        """What is cut, filtered, refused, empty or not understood is an error, never an answer."""
        name = self.name
        if not self._choices:
            hint = "check that the address is an OpenAI-compatible API; it usually ends in /v1"
            return SolverBadReply(f"{name} sent no chat completion{': ' + instead if instead else ''}", hint=hint)
        if self._refusal:
            return SolverRefused(f"{name} refused: {words(''.join(self._refusal))}")
        if not complete:
            return SolverBrokenReply(f"{name}'s reply ended before it was complete")
        if not self._finish and not self._streamed:
            return SolverBadReply(f"{name} did not say why it stopped, so the reply may be cut")
        stop = re.sub(r"[\s-]+", "_", self._finish.lower()).removeprefix("finish_reason_")
        if not stop or GOOD.fullmatch(stop):
            if not closed:
                return self._cut("its thinking does not end")
            if not text.strip():
                return self._empty()
            return None
        if REFUSED.fullmatch(stop):
            return SolverRefused(f"{name} refused to answer")
        if CUT.fullmatch(stop):
            return self._cut("nothing but thinking came" if not text.strip() and self._thought else "")
        if FILTERED.fullmatch(stop):
            return SolverFiltered(f"{name}'s reply was filtered by the provider ({self._finish[:40]})")
        if TOOL.fullmatch(stop) and not text.strip():
            return self._empty()
        kind = SolverServerError if SERVER.fullmatch(stop) else SolverBadReply
        return kind(f"{name} stopped with {self._finish[:40]!r}, which is no end of an answer")

    def _cut(self, how: str) -> SolverError:
        at = f" at {self.limit} tokens" if self.limit else ""
        return SolverCut(f"{self.name} was cut off{at}{': ' + how if how else ''}", hint="raise it with --max-tokens")

    def _empty(self) -> SolverError:
        what = "asked for a tool" if self._tool else "sent thinking alone" if self._thought else "sent an empty reply"
        return SolverEmpty(f"{self.name} {what}{'' if what.endswith('reply') else ' and no answer'}")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def _content(value: Any, depth: int = 0) -> tuple[str, str, str]:
    """(text, thinking, refusal) of a message's content: a string, a number, one part or a list of parts."""
    if isinstance(value, str):
        return value, "", ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value), "", ""
    if isinstance(value, list) and depth < 4:
        parts = [_content(part, depth + 1) for part in value]
        text, thinking, refused = zip(*parts, strict=True) if parts else ((), (), ())
        return "".join(text), "".join(thinking), "".join(refused)
    if isinstance(value, dict) and depth < 4:
        kind = str(value.get("type") or "text").lower()
        if "think" in kind or "reason" in kind:
            return "", _plain(value.get("thinking")) or _plain(value.get("text")) or _plain(value.get("content")), ""
        if "refusal" in kind:
            return "", "", _plain(value.get("refusal")) or _plain(value.get("text"))
        if "text" in kind:
            return _content(value.get("text") or value.get("content") or value.get("value"), depth + 1)
    return "", "", ""


def _plain(value: Any) -> str:
    """All text of a value, of whatever kind."""
    return "".join(_content(value))
