"""Cancelling work that runs in another thread, wherever it waits: for the engine, a server, the gate or a retry."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from dnc_edge.errors import Cancelled


class Scope:
    """Work that may be cancelled from any thread.

    Code that waits inside of `with scope.entered():` finds it with `current`: it needs not be passed along.
    """

    def __init__(self) -> None:
        self._reason = ""
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self, reason: str = "nobody waits for the answer any more") -> None:
        """Wake whatever waits in the scope; it raises `Cancelled` there. Only the first reason counts."""
        with self._lock:
            self._reason = self._reason or reason
            self._cancelled.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def check(self) -> None:
        """Raise `Cancelled` if the scope is cancelled."""
        if self.cancelled:
            raise Cancelled(self._reason)

    def sleep(self, seconds: float) -> None:
        """Sleep, but not past the end of the scope. Raises Cancelled."""
        self._cancelled.wait(seconds)
        self.check()

    @contextlib.contextmanager
    def waking(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call `callback`, in the thread that cancels, if the scope is cancelled within the block or was before."""
        with self._lock:
            late = self.cancelled
            if not late:
                self._callbacks.append(callback)
        if late:
            callback()
        try:
            yield
        finally:
            with self._lock, contextlib.suppress(ValueError):
                self._callbacks.remove(callback)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Make it the current scope of this thread for the block."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


# What runs outside of any scope is never cancelled.
_current: ContextVar[Scope] = ContextVar("scope", default=Scope())  # noqa: B039


def current() -> Scope:
    """The scope of the work that this thread does."""
    return _current.get()


def sleep(seconds: float) -> None:
    """Sleep in the current scope. Raises Cancelled."""
    current().sleep(seconds)
