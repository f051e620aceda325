"""The server, in a thread of the test over real HTTP, or as a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from dnc_edge.serve.app import application
from dnc_edge.serve.jobs import Jobs, Limits
from dnc_edge.serve.models import Models
from tests.servers import heeding_interrupts


@dataclass
class Served:
    """A running server."""

    port: int
    models: Models
    jobs: Jobs

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        return f"{self.address}/v1"

    def ask(
        self, path: str, body: Any = None, *, method: str = "", raw: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers and body (JSON if it is any) of a reply."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if data is None else "POST"), path, data, sent)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        head = {name.lower(): value for name, value in reply.getheaders()}
        return reply.status, head, json.loads(text) if head.get("content-type") == "application/json" else text

    def chat(self, question: str, **fields: Any) -> tuple[int, dict[str, str], Any]:
        return self.ask("/v1/chat/completions", {"messages": [{"role": "user", "content": question}], **fields})

    def begin(self, question: str, **fields: Any) -> socket.socket:
        """A connection on which a question was just sent."""
        data = json.dumps({"messages": [{"role": "user", "content": question}], **fields}).encode()
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
        connection.sendall(head.encode() + data)
        return connection

    def idle(self, seconds: float = 20.0) -> bool:
        """Whether nothing runs and nothing waits, within some seconds."""
        return eventually(lambda: self.jobs.running == self.jobs.waiting == 0, seconds)


def eventually(true: Any, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@contextlib.contextmanager
def serving(
    *pairs: str, limits: Limits | None = None, guard: dict[str, Any] | None = None, run: dict[str, Any] | None = None,
    max_cost: float | None = None, spent: Path | None = None, **edge: Any,
) -> Iterator[Served]:  # fmt: skip
    """The server in a thread.

    Args:
        guard: `token`, `origins`.
        run: arguments of the paid run.
        **edge: settings, and further arguments of the edge.
    """
    edge = {"student": "dnc-11m", "slots": 4, **edge}
    with Models(pairs, run=run, edge=edge, max_cost=max_cost, spent=spent) as models:
        app = application(models, limits, **(guard or {}))
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        assert eventually(lambda: server.started)
        try:
            yield Served(listener.getsockname()[1], models, app.state.jobs)
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def served_process(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`dnc-edge serve` on a free port; yields the process and the port."""
    command = [sys.executable, "-m", "dnc_edge", "serve", "--port", "0", "--student", "dnc-11m", *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        preexec_fn=heeding_interrupts,
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), process.communicate()
        yield process, int(line.strip().rpartition(":")[2].removesuffix("/v1"))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
