"""Run the application: an address, a token if others can reach it, an end that finishes what is in flight."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence

import uvicorn

from dnc_edge.errors import Cancelled, InputError, UsageError
from dnc_edge.offline import is_here
from dnc_edge.serve.app import application
from dnc_edge.serve.jobs import Limits
from dnc_edge.serve.models import Models

TOKEN = "DNC_EDGE_SERVE_TOKEN"
# Threads take turns so often: the engine's must have the interpreter soon after each decode.
SWITCH_SECONDS = 1e-4
ENDINGS = (signal.SIGINT, signal.SIGTERM)


def check_address(host: str, token: str | None) -> None:
    """Refuse an address that others can reach without a token.

    Raises:
        UsageError: there is none, or it is a short one.
    """
    if token is not None and len(token) < 16:
        raise UsageError(f"the token in {TOKEN} is too short to keep anybody out", hint=f"export {TOKEN}=$(uuidgen)")
    if token is None and not is_here(host):
        raise UsageError(
            f"others can reach {host}, and whoever reaches it can spend your money: it needs a token",
            hint=f"export {TOKEN}=$(uuidgen), which clients send as their API key",
        )


def serve(
    models: Models,
    limits: Limits,
    *,
    host: str = "127.0.0.1",
    port: int = 8484,
    token: str | None = None,
    origins: Sequence[str] = (),
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Answer requests until SIGINT or SIGTERM; then finish those in flight, or drop them at the second signal.

    Args:
        host, port: where; port 0 takes a free one.
        token: that requests must bear.
        origins: websites that may ask from a browser.
        ready: called with the address once requests are answered.

    Raises:
        UsageError: the address needs a token. InputError: it cannot be taken. Cancelled: requests were dropped.
    """
    check_address(host, token)
    sys.setswitchinterval(SWITCH_SECONDS)
    with _listening(host, port) as listener:
        config = uvicorn.Config(
            application(models, limits, token=token, origins=origins),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=round(limits.seconds),
        )
        server = _Server(config)
        shown = f"[{host}]" if ":" in host else host
        server.ready = lambda: ready(f"http://{shown}:{listener.getsockname()[1]}")
        asyncio.run(server.serve(sockets=[listener]))
    if server.force_exit:
        raise Cancelled("stopped; requests in flight were dropped")


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise InputError(
                f"cannot listen on {host}, port {port}: {error.strerror or error}", hint="choose another --port"
            ) from error
        yield listener


class _Server(uvicorn.Server):
    """Ends without raising the signal again: a stop that was asked for is no failure."""

    ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in ENDINGS:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in ENDINGS:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
