"""What surrounds a command: its streams, in whatever state they are handed over, and the signals that end it."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys


def prepare() -> None:
    """Make the process safe to work in, before anything is opened or printed."""
    _occupy_descriptors()
    # A character that the stream cannot encode is written as an escape; it must not cost a paid answer.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Typer and the standard library take for granted that there are streams.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    # Both end a run as Ctrl-C does, with everything finished kept. What nohup ignores stays ignored.
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            with contextlib.suppress(ValueError):  # only the main thread may
                signal.signal(number, signal.default_int_handler)


def _occupy_descriptors() -> None:
    """Fill closed standard descriptors, or the next file that is opened (a journal) takes what libraries print."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
