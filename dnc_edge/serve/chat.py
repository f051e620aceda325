"""`/v1/chat/completions`: events of a question as a completion, whole or in chunks."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Iterable
from typing import Any

from dnc_edge.errors import SolverCut
from dnc_edge.serve.replies import dumps, failed, reasoning, record_headers, usage
from dnc_edge.types import AnswerDelta, Event, Finished, event_dict


class Completion:
    """One reply to a chat.

    Args:
        model: as the client called it.
        with_usage: whether a stream ends with its counts.
    """

    def __init__(self, model: str, *, with_usage: bool = False) -> None:
        self._with_usage = with_usage
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def whole(self, events: list[Event]) -> tuple[dict[str, Any], dict[str, str]]:
        """The reply as one document, and its headers.

        Raises:
            DncError: there is no answer.
        """
        finished = events[-1]
        assert isinstance(finished, Finished)
        content, finish = finished.record.text or "", "stop"
        if isinstance(finished.error, SolverCut):
            content, finish = _text(events), "length"
        elif finished.error:
            raise finished.error
        message = {"role": "assistant", "content": content, "reasoning_content": _thought(events) or None}
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        fields = {"object": "chat.completion", "choices": [choice], "usage": usage(finished.record)}
        return self._head | fields | {"x-dnc-record": finished.record.to_dict()}, record_headers(finished.record)

    async def stream(self, bursts: AsyncIterator[list[Event]]) -> AsyncIterator[bytes]:
        """The reply as server-sent events; the record comes with the finish."""
        yield self._chunk({"role": "assistant", "content": ""})
        async for burst in bursts:
            if thoughts := [event for event in burst if reasoning(event)]:
                delta = {"reasoning_content": _thought(thoughts)}
                yield self._chunk(delta, None, **{"x-dnc-events": [event_dict(event) for event in thoughts]})
            if text := _text(burst):
                yield self._chunk({"content": text})
            if isinstance(finished := burst[-1], Finished):
                yield self._finish(finished)
        yield b"data: [DONE]\n\n"

    def _finish(self, finished: Finished) -> bytes:
        record = {"x-dnc-record": finished.record.to_dict()}
        cut = isinstance(finished.error, SolverCut)
        if finished.error and not cut:
            return sse(failed(finished.error)[1] | record)
        end = self._chunk({}, "length" if cut else "stop", **record)
        if self._with_usage:
            end += sse(self._head | {"object": "chat.completion.chunk", "choices": [], "usage": usage(finished.record)})
        return end

    def _chunk(self, delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return sse(self._head | {"object": "chat.completion.chunk", "choices": [choice], **more})


def sse(value: Any, name: str | None = None) -> bytes:
    """One server-sent event."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + dumps(value) + b"\n\n"


def _thought(events: Iterable[Event]) -> str:
    return "".join(map(reasoning, events))


def _text(events: Iterable[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, AnswerDelta))
