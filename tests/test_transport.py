"""Deadlines on the wall clock, whatever a server sends meanwhile; a stream that nobody reads any more is given up at once."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dnc_edge.errors import SolverConnection, SolverError, SolverTimeout
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.remote.retry import Retry
from dnc_edge.remote.transport import Deadlines, Transport
from tests.quirks import QuirkServer

MESSAGES = [{"role": "user", "content": "How many?"}]
# A loaded machine needs time to notice.
SLACK = 3.0


def ask(address: str, deadlines: Deadlines, model: str = "m", attempts: int = 1) -> float:
    """Ask and fail; return how long it took."""
    started = time.monotonic()
    with pytest.raises(SolverError):
        list(Endpoint(model, address, deadlines=deadlines, retry=Retry(attempts=attempts, first=0.01)).stream(MESSAGES))
    return time.monotonic() - started


@contextlib.contextmanager
def listener(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A socket of one's own: for what no HTTP server can be made to do."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"


@pytest.mark.parametrize("model", ["keep-alive-for-ever", "role-for-ever", "trickle", "slow-headers", "silent"])
@pytest.mark.parametrize("attempts", [1, 4])
def test_the_total_holds_over_all_attempts(model: str, attempts: int) -> None:
    with QuirkServer() as server:
        took = ask(server.address, Deadlines(connect=5, read=5, total=1), model, attempts)
    assert 0.9 < took < 1 + SLACK


def test_a_silent_socket_ends_at_the_read_deadline() -> None:
    with listener(lambda connection: time.sleep(20)) as address:
        endpoint = Endpoint("m", address, deadlines=Deadlines(5, 0.5, 20), retry=Retry(attempts=1))
        started = time.monotonic()
        with pytest.raises(SolverTimeout, match="sent nothing for 0.5 s"):
            list(endpoint.stream(MESSAGES))
        assert 0.4 < time.monotonic() - started < 0.5 + SLACK


def test_a_connection_that_is_never_accepted_ends_at_the_connect_deadline() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        # The queue of the socket is full: nobody else gets in.
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        address = f"http://127.0.0.1:{port}/v1"
        endpoint = Endpoint("m", address, deadlines=Deadlines(0.5, 20, 20), retry=Retry(attempts=1))
        started = time.monotonic()
        with pytest.raises(SolverTimeout, match="no connection within 0.5 s") as caught:
            list(endpoint.stream(MESSAGES))
        assert time.monotonic() - started < 0.5 + SLACK and not caught.value.charged
        for one in waiting:
            one.close()


def test_nobody_there_is_no_charge() -> None:
    with pytest.raises(SolverConnection, match="cannot reach") as caught:
        list(Endpoint("m", "http://127.0.0.1:9/v1", retry=Retry(attempts=1)).stream(MESSAGES))
    assert not caught.value.charged and caught.value.retryable


def test_a_started_stream_is_given_up_at_once_and_the_server_notices() -> None:
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b'data: {"choices": [{"delta": {"content": "and "}}]}\n\n')
                time.sleep(0.02)
        ended.set()

    with listener(serve) as address:
        stream = Endpoint("m", address).stream(MESSAGES)
        assert next(stream) == "and "
        started = time.monotonic()
        stream.close()
        assert time.monotonic() - started < 1
        assert ended.wait(10), "the connection is still open"


def test_a_body_without_end_is_not_read_without_end() -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"x" * 65_536)

    with listener(serve) as address, pytest.raises(SolverError, match="more than 1 MiB"):
        list(Transport("m", Deadlines()).send("GET", address, most=2**20))


def test_many_threads_ask_at_once() -> None:
    """One loop carries all requests; each thread gets its own reply."""
    with QuirkServer() as server:
        endpoint = Endpoint("split-bytes", server.address)
        texts: list[str] = []

        def work() -> None:
            texts.append("".join(endpoint.stream(MESSAGES)))

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(texts) == 16 and len(set(texts)) == 1
