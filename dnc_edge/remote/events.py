"""JSON values out of a response body: server-sent events, lines of JSON, or one document.

Servers differ more than the standard allows: events without blank lines between them, keep-alives that stand in
`data:`, a document where a stream was asked for. What can be understood is taken; what cannot is kept for the message.
"""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator
from typing import Any

FIELDS = frozenset({"data", "event", "id", "retry"})
# Characters of an unreadable body that are quoted.
QUOTED = 200


class Events:
    """Reads a body piece by piece.

    Attributes:
        done: whether the server said `[DONE]`.
        broken: the beginning of JSON that could not be read; "" if there was none.
        other: the beginning of what is neither JSON nor an event (a web page, say); "" if there was none.
    """

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
        self._line: list[str] = []  # pieces of a line that is not whole yet
        self._pending: list[str] = []  # lines of a JSON value that is not whole yet
        self._pending_is_event = False
        self._event = ""
        self.done = False
        self.broken = ""
        self.other = ""

    def feed(self, data: bytes, *, final: bool = False) -> Iterator[dict[str, Any] | list[Any]]:
        """Yield the objects and arrays that `data` completes; `final` says that nothing follows."""
        *lines, rest = self._decoder.decode(data, final).split("\n")
        for line in lines:
            yield from self._read("".join([*self._line, line]))
            self._line = []
        self._line.append(rest)
        if final:
            yield from self._read("".join(self._line))
            yield from self._flush()

    def _read(self, line: str) -> Iterator[dict[str, Any] | list[Any]]:
        line = line.strip()
        if not line:
            if self._pending_is_event:
                yield from self._flush()
            self._event = ""
            return
        name, _, value = line.partition(":")
        if name in FIELDS or not name:
            if name == "event":
                self._event = value.strip().lower()
            elif name == "data":
                yield from self._payload(value.strip(), is_event=True)
        else:
            yield from self._payload(line, is_event=False)

    def _payload(self, text: str, *, is_event: bool) -> Iterator[dict[str, Any] | list[Any]]:
        if not text or text.startswith(":"):
            return  # a keep-alive
        if text.strip('"').upper() == "[DONE]":
            self.done = True
        elif self._pending:
            self._pending.append(text)
        elif (value := loads(text)) is not None:
            yield self._named(value)
        elif text[0] in "{[":
            self._pending, self._pending_is_event = [text], is_event
        elif self._event == "error":
            yield {"error": text}
        else:
            self.other = self.other or text[:QUOTED]

    def _flush(self) -> Iterator[dict[str, Any] | list[Any]]:
        text, self._pending, self._pending_is_event = "\n".join(self._pending), [], False
        if text:
            if (value := loads(text)) is not None:
                yield self._named(value)
            else:
                self.broken = self.broken or text[:QUOTED]

    def _named(self, value: dict[str, Any] | list[Any]) -> dict[str, Any] | list[Any]:
        """An event named "error" is one, whatever its data look like."""
        if self._event == "error" and not (isinstance(value, dict) and value.get("error")):
            return {"error": value}
        return value


def loads(text: str) -> dict[str, Any] | list[Any] | None:
    """Parse an object or an array; None if the text is anything else."""
    try:
        value = json.loads(text, parse_int=_whole)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _whole(digits: str) -> int | float:
    # Python refuses to convert integers of thousands of digits; no field that is used here has them.
    return int(digits) if len(digits) < 400 else float(digits)
