"""Real HTTP servers on loopback: llama-cpp-python's own, and one that misbehaves as told."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

GOOD = "1. 24\n2. 72\nThe answer is: 72"
UNICODE = "1. 60 € für Łukasz 🧁\nThe answer is: 120 €"


def heeding_interrupts() -> None:
    """In a child before it starts: Ctrl-C and a hang-up count, even if whoever started the tests ignores them."""
    for ending in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ending, signal.SIG_DFL)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def llama_server(model: Path) -> Iterator[str]:
    """llama-cpp-python's OpenAI-compatible server on a file; yields its /v1 address."""
    port = free_port()
    command = [
        sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--host", "127.0.0.1", "--port", str(port),
        "--n_ctx", "2048", "--n_threads", "2", "--verbose", "False",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/models", timeout=1).read()
                break
            if process.poll() is not None:
                raise RuntimeError("the server ended before it answered")
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


class Misbehaving(ThreadingHTTPServer):
    """Answers each chat request with the next behaviour of `script`; the last one repeats.

    A behaviour is "good", "usage", a status code, or one of the names in `_Handler.chat`.
    """

    daemon_threads = True

    def __init__(self, *script: str | int, retry_after: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = list(script)
        self.retry_after = retry_after
        self.told = "told to fail"
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    def choose(self, body: dict[str, Any]) -> str | int:
        """The behaviour for a request."""
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self) -> Misbehaving:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Counting(Misbehaving):
    """Counts who asked what, answers after `delay` seconds, and misbehaves by chance.

    Args:
        odds: chance of each behaviour, the rest being "usage": a good reply with token counts.
        seed: of the chances.
    """

    request_queue_size = 128

    def __init__(self, *, delay: float = 0.0, odds: dict[str | int, float] | None = None, seed: int = 0) -> None:
        super().__init__("usage", retry_after="0.05")
        self.delay, self.odds, self.rng = delay, odds or {}, random.Random(seed)
        self.guard = threading.Lock()
        self.charged = 0  # requests that a provider would bill

    def choose(self, body: dict[str, Any]) -> str | int:
        time.sleep(self.delay)
        with self.guard:
            drawn = self.rng.random()
        chosen: str | int = "usage"
        for behaviour, chance in self.odds.items():
            drawn -= chance
            if drawn < 0:
                chosen = behaviour
                break
        with self.guard:
            self.charged += not isinstance(chosen, int)
        return chosen

    def asked(self) -> list[str]:
        """The question of every request so far."""
        return [body["messages"][-1]["content"].split("\n\nSub-questions:")[0] for body in list(self.requests)]


class _Handler(BaseHTTPRequestHandler):
    server: Misbehaving

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body)
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        behaviour = self.server.choose(body)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.chat(behaviour)

    def chat(self, behaviour: str | int) -> None:
        if isinstance(behaviour, int):
            extra = {"Retry-After": self.server.retry_after} if self.server.retry_after else {}
            self._send(behaviour, "application/json", json.dumps({"error": {"message": self.server.told}}), extra)
        elif behaviour == "html":
            self._send(200, "text/html", "<html><body>Welcome to the login page</body></html>")
        elif behaviour == "json":
            self._send(200, "application/json", '{"hello": "world"}')
        elif behaviour == "hang":
            time.sleep(5)
        elif behaviour == "half":
            self._stream([self._chunk("1. 24\n")], finish=None, then="silence")
        elif behaviour == "torn":
            self._stream([self._chunk("1. 24\n")], finish=None, then="close")
        elif behaviour == "trickle":
            self._stream([self._chunk("and")] * 50, finish="stop", pause=0.1)
        elif behaviour == "plan":
            text = "1. How many trays are there?\n2. How many muffins in all?"
            self._stream([self._chunk(piece) for piece in text.split(" ")], finish="stop")
        elif behaviour == "unicode":
            self._stream([self._chunk(f"{line}\n") for line in UNICODE.split("\n")], finish="stop")
        elif behaviour == "garbage":
            self._stream(["data: {not json\n\n"], finish=None)
        elif behaviour == "empty":
            self._stream([self._chunk("")], finish="stop")
        elif behaviour == "refusal":
            self._stream([self._chunk(None, refusal="I would rather not.")], finish="stop")
        elif behaviour in ("length", "content_filter"):
            self._stream([self._chunk("1. 24")], finish=behaviour)
        else:
            usage = None
            if behaviour == "usage":
                usage = {
                    "prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70,
                    "prompt_tokens_details": {"cached_tokens": 30},
                    "completion_tokens_details": {"reasoning_tokens": 8},
                }  # fmt: skip
            self._stream([self._chunk(piece) for piece in GOOD.split(" ")], finish="stop", usage=usage)

    def _chunk(self, content: str | None, **delta: str) -> str:
        text = None if content is None else (content + " " if content and not content.endswith("\n") else content)
        choice = {"index": 0, "delta": {"role": "assistant", "content": text, **delta}, "finish_reason": None}
        return self._event({"choices": [choice]})

    def _event(self, fields: dict[str, Any]) -> str:
        head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return f"data: {json.dumps({**head, **fields})}\n\n"

    def _stream(
        self, events: list[str], finish: str | None, usage: Any = None, then: str = "done", pause: float = 0
    ) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in events:
            self.wfile.write(event.encode())
            self.wfile.flush()
            time.sleep(pause)
        if finish:
            self.wfile.write(self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}).encode())
        if usage:
            self.wfile.write(self._event({"choices": [], "usage": usage}).encode())
        if then == "silence":
            self.wfile.flush()
            time.sleep(5)
        elif then == "done":
            self.wfile.write(b"data: [DONE]\n\n")

    def _send(self, status: int, kind: str, body: str, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())


class BatchService(ThreadingHTTPServer):
    """A provider's files and batches endpoints: uploads, batches that finish at the second look, their results.

    Args:
        lose: ids that get no reply. reject: ids whose request fails.
    """

    daemon_threads = True

    def __init__(self, *, lose: set[str] | None = None, reject: set[str] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _BatchHandler)
        self.lose, self.reject = lose or set(), reject or set()
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.fail_next = False

    def __enter__(self) -> BatchService:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def finish(self, batch: dict[str, Any]) -> None:
        good, bad = [], []
        requests = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        for request in requests:
            id = request["custom_id"]
            assert request["method"] == "POST" and request["url"] == "/v1/chat/completions"
            assert "stream" not in request["body"] and request["body"]["max_tokens"]
            if id in self.reject:
                bad.append(
                    {"custom_id": id, "response": {"status_code": 400, "body": {"error": {"message": "too hot"}}}}
                )
            elif id not in self.lose:
                body = {
                    "choices": [
                        {"index": 0, "message": {"role": "assistant", "content": GOOD}, "finish_reason": "stop"}
                    ],
                    "usage": {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70},
                }
                good.append({"custom_id": id, "response": {"status_code": 200, "body": body}})
        for name, lines in (("output_file_id", good), ("error_file_id", bad)):
            if lines:
                batch[name] = f"file-{len(self.files)}"
                # In no particular order, and the last line cut off.
                text = "\n".join(json.dumps(line) for line in reversed(lines))
                self.files[batch[name]] = text.encode() + b'\n{"custom_id": "cut'
        counts = {"total": len(requests), "completed": len(good), "failed": len(bad)}
        batch.update(status="completed", request_counts=counts)


class _BatchHandler(BaseHTTPRequestHandler):
    server: BatchService

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/files"):
            boundary = self.headers["Content-Type"].split("boundary=")[1].encode()
            (part,) = [part for part in data.split(b"--" + boundary) if b'name="file"' in part]
            id = f"file-{len(self.server.files)}"
            self.server.files[id] = part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
            head = {"object": "file", "bytes": len(data), "created_at": 1, "filename": "f", "purpose": "batch"}
            self._send({"id": id, "status": "processed", **head})
            return
        asked = json.loads(data)
        id = f"batch-{len(self.server.batches)}"
        self.server.batches[id] = {
            "id": id, "object": "batch", "status": "validating", "created_at": 1, "errors": None, **asked,
        }  # fmt: skip
        if self.server.fail_next:
            # The batch is made, and the answer that says so is lost.
            self.server.fail_next = False
            self.connection.close()
            return
        self._send(self.server.batches[id])

    def do_GET(self) -> None:
        name = self.path.split("?")[0].rstrip("/").split("/")
        if name[-1] == "batches":
            self._send({"object": "list", "data": list(self.server.batches.values()), "has_more": False})
        elif name[-1] == "content":
            data = self.server.files[name[-2]]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        elif name[-1] in self.server.batches:
            batch = self.server.batches[name[-1]]
            self._send(batch)
            if batch["status"] == "in_progress":
                self.server.finish(batch)
            elif batch["status"] == "validating":
                batch["status"] = "in_progress"
        else:
            self.send_error(404)

    def _send(self, values: dict[str, Any]) -> None:
        body = json.dumps(values).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
