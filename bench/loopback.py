"""An OpenAI-compatible server on loopback whose replies, and the time they take, are made by a function."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What a request is answered, and when.

    Attributes:
        seconds: until the whole reply is sent.
        sent, cached, received: tokens of the request, of them from a cache, and of the reply.
    """

    text: str
    seconds: float
    sent: int = 50
    cached: int = 0
    received: int = 20


class LoopbackSolver:
    """Answers every chat completion with `reply(request)`. Use it in a `with`.

    One event loop in a thread: what it takes of the processor is not there for who is measured.

    Args:
        reply: called with the JSON of each request as it arrives, in the server's thread.

    Attributes:
        address: as `--solver` takes it.
        requests: how many there were. most_at_once: how many of them at the same time at most.
    """

    def __init__(self, reply: Callable[[Mapping[str, Any]], Reply]) -> None:
        self.address = ""
        self.requests = 0
        self.most_at_once = 0
        self._reply = reply
        self._at_once = 0
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> LoopbackSolver:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1#loopback"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _end(self) -> None:
        """End the connections that are still open."""
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                body = await reader.readexactly(int(head.partition(b"content-length:")[2].split(None, 1)[0]))
                self.requests += 1
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                reply = self._reply(json.loads(body))
                await asyncio.sleep(reply.seconds)
                self._at_once -= 1
                writer.write(_encoded(reply.text, reply.sent, reply.cached, reply.received))
        writer.close()


@functools.lru_cache
def _encoded(text: str, sent: int, cached: int, received: int) -> bytes:
    """A reply as an event stream, head and all."""
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "loopback"}
    usage = {
        "prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received,
        "prompt_tokens_details": {"cached_tokens": cached},
    }  # fmt: skip
    events: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": usage},
    ]
    body = "".join(f"data: {json.dumps({**head, **event})}\n\n" for event in events) + "data: [DONE]\n\n"
    fields = f"Content-Type: text/event-stream\r\nContent-Length: {len(body)}"
    return f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}".encode()
