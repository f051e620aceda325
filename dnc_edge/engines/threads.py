"""How many compute threads to use when nobody says."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from dnc_edge.errors import UsageError

MOST_THREADS = 1024
_LOADAVG = Path("/proc/loadavg")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chosen_threads(threads: int | None) -> int:
    """The number asked for, or the default.

    Raises:
        UsageError: it is not 1 to 1,024.
    """
    if threads is None:
        return default_threads()
    if not 1 <= threads <= MOST_THREADS:
        raise UsageError(f"threads must be 1 to {MOST_THREADS}, not {threads}")
    return threads


def default_threads(running: Callable[[], int | None] | None = None) -> int:
    """One thread for each core that nothing else is using now, at least one.

    Threads of one model wait for each other after every operation. Where another process holds a core, they
    wait for its time slices: two threads beside a busy process were seen to decode a plan in 60 s that one
    thread decodes in 0.1 s.

    Args:
        running: tells how many threads want a core now, this one included, or None where that cannot be
            told; injectable for tests.
    """
    available = cores()
    wanted = (running or _running)()
    return available if wanted is None else max(1, min(available, available - (wanted - 1)))


def _running() -> int | None:
    """The lesser of two looks, so that what flickers past does not count."""
    counts = []
    for look in range(2):
        if look:
            time.sleep(0.001)
        try:
            counts.append(int(_LOADAVG.read_text(encoding="ascii").split()[3].split("/")[0]))
        except (OSError, ValueError, IndexError):
            return None
    return min(counts)
