"""HTTP with deadlines on the wall clock, and without waiting for what nobody wants any more.

One event loop in a thread of its own carries all requests. A deadline cancels a request wherever it is (in a look-up of
the host, in the middle of a header, between two keep-alives), which no time-out of a single socket read can do.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import queue
import threading
import urllib.request
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dnc_edge import cancellation
from dnc_edge.errors import SolverBadReply, SolverBrokenReply, SolverConnection, SolverError, SolverTimeout, UsageError

if TYPE_CHECKING:
    import httpx2

# Bytes of one response that are read at most; no reply of a model comes near it.
MOST_BYTES = 64 * 2**20
# Seconds after its deadline in which a request that hangs in its own cancellation is given up.
GRACE = 1.0
REDIRECTS = 3


@dataclass(frozen=True)
class Deadlines:
    """Seconds to connect, between two pieces of a response, and for the whole of one attempt."""

    connect: float = 10.0
    read: float = 60.0
    total: float = 300.0


@dataclass(frozen=True)
class Head:
    """How a response begins; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]


class Transport:
    """Sends requests to one host; from any thread.

    Args:
        name: of the model, for messages.
    """

    def __init__(self, name: str, deadlines: Deadlines) -> None:
        self.name, self.deadlines = name, deadlines
        self._client: httpx2.AsyncClient | None = None

    def prepare(self) -> None:
        """Import the library and make the client now, while something else takes the time."""
        asyncio.run_coroutine_threadsafe(self._made(), _loop()).result()

    def send(
        self, method: str, url: str, *, seconds: float | None = None, most: int | None = MOST_BYTES, **request: Any
    ) -> Generator[Head | bytes]:
        """Send a request; yield its head, then its body as it arrives. Closing the generator cancels it at once.

        Args:
            method, url: what to ask for.
            seconds: for the whole response; None is the total deadline.
            most: bytes of a body that are read at most; None sets no limit.
            **request: `headers`, `json`, `files` and so on, as httpx takes them.

        Raises:
            SolverConnection, SolverTimeout, SolverBrokenReply, SolverBadReply: there is no whole response.
            UsageError: the environment's proxy or certificates cannot be used.
            Cancelled: the current scope was cancelled.
        """
        seconds = self.deadlines.total if seconds is None else seconds
        pieces: queue.SimpleQueue[Head | bytes | BaseException | None] = queue.SimpleQueue()
        running = asyncio.run_coroutine_threadsafe(self._carry(pieces, seconds, most, method, url, request), _loop())
        scope = cancellation.current()
        try:
            with scope.waking(lambda: pieces.put(None)):
                while True:
                    try:
                        piece = pieces.get(timeout=seconds + GRACE)
                    except queue.Empty:
                        raise self._late() from None
                    scope.check()
                    if piece is None:
                        return
                    if isinstance(piece, BaseException):
                        raise piece
                    yield piece
        finally:
            running.cancel()

    async def _carry(
        self,
        pieces: queue.SimpleQueue[Any],
        seconds: float,
        most: int | None,
        method: str,
        url: str,
        request: Mapping[str, Any],
    ) -> None:
        end: BaseException | None = None
        try:
            async with asyncio.timeout(seconds):
                await self._exchange(pieces, most, method, url, request)
        except TimeoutError:
            end = self._late()
        except (SolverError, UsageError) as error:
            end = error
        except Exception as error:
            end = self._translated(error)
        finally:
            pieces.put(end)

    async def _exchange(
        self, pieces: queue.SimpleQueue[Any], most: int | None, method: str, url: str, request: Any
    ) -> None:
        client = await self._made()
        built = client.build_request(method, url, **request)
        for _ in range(REDIRECTS + 1):
            response = await client.send(built, stream=True)
            try:
                following = response.next_request
                # A question goes to another place only if it stays with the host that the user named.
                if following and response.status_code in (307, 308) and following.url.host == built.url.host:
                    built = following
                    continue
                headers = {name.lower(): value for name, value in response.headers.items()}
                pieces.put(Head(response.status_code, headers))
                size = 0
                async for piece in response.aiter_bytes():
                    if most is not None and (size := size + len(piece)) > most:
                        raise SolverBadReply(f"{self.name} sent more than {most >> 20} MiB")
                    pieces.put(piece)
                return
            finally:
                await response.aclose()
        raise SolverBadReply(f"{self.name} redirects in a circle")

    async def _made(self) -> httpx2.AsyncClient:
        if self._client is None:
            import httpx2

            timeout = httpx2.Timeout(self.deadlines.read, connect=self.deadlines.connect, pool=None)
            limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=15.0)
            try:
                self._client = httpx2.AsyncClient(timeout=timeout, limits=limits)
            except Exception as error:
                raise _environment_fault(error) from error
        return self._client

    def _late(self) -> SolverTimeout:
        return SolverTimeout(f"{self.name} sent no complete reply within {self.deadlines.total:g} s")

    def _translated(self, error: Exception) -> SolverError:
        """An error of the library as ours; what it says of the address is left out, for it may hold a password."""
        import httpx2

        kind = type(error).__name__
        if isinstance(error, httpx2.ConnectTimeout):
            late = SolverTimeout(f"{self.name}: no connection within {self.deadlines.connect:g} s")
            late.charged = False
            return late
        if isinstance(error, httpx2.TimeoutException):
            return SolverTimeout(f"{self.name} sent nothing for {self.deadlines.read:g} s")
        if isinstance(error, httpx2.ConnectError | httpx2.ProxyError | httpx2.UnsupportedProtocol):
            proxies = "a proxy is set in the environment; " if urllib.request.getproxies() else ""
            said = " ".join(str(error).split())[:160]
            return SolverConnection(
                f"cannot reach {self.name} ({said or kind})",
                hint=f"{proxies}is the server running, and the address right?",
            )
        said = " ".join(str(error).split())[:160]
        return SolverBrokenReply(f"{self.name}'s reply broke off or is unreadable ({said or kind})")


def _environment_fault(error: Exception) -> UsageError:
    """Name the variables that keep the client from being made; their values may hold passwords and are not shown."""
    proxies = [name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy")]
    certificates = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE") if os.environ.get(name)]
    unusable = [name for name in proxies if _scheme(os.environ[name]) not in ("", "http", "https")]
    if unusable or isinstance(error, ImportError):
        names, what = unusable or proxies, "names a proxy that cannot be used; http:// and https:// proxies can"
    elif isinstance(error, OSError) and certificates:
        names, what = certificates, f"names certificates that cannot be used ({error.strerror or 'unreadable'})"
    else:
        names, what = proxies + certificates, f"cannot be used ({type(error).__name__})"
    return UsageError(f"{', '.join(names) or 'the network settings'} {what}", hint="unset it, or set it right")


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme.lower() if "://" in url else ""
    except ValueError:
        return "unreadable"


_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}


def _loop() -> asyncio.AbstractEventLoop:
    """The event loop of this process, started when it is first needed; a forked child gets one of its own."""
    with _lock:
        loop = _loops.get(os.getpid())
        if loop is None:
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="dnc-edge-http", daemon=True)
            thread.start()
            atexit.register(_end, loop, thread)
        return loop


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    """Cancel what is left before the interpreter goes, so that nothing is reported as forgotten."""

    async def cancel() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE)
        loop.stop()

    if thread.is_alive() and os.getpid() in _loops:
        with contextlib.suppress(RuntimeError):
            asyncio.run_coroutine_threadsafe(cancel(), loop)
            thread.join(timeout=2 * GRACE)
