"""What Linux says of the processor."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def model() -> str:
    """Return the processor's name; its architecture if there is none."""
    return _first("model name") or platform.processor() or platform.machine()


def flags() -> frozenset[str]:
    """Return the instruction sets by Linux's names ("avx2", "asimd"); none on other systems."""
    return frozenset((_first("flags") or _first("Features")).split())


def _first(key: str) -> str:
    return next((value for name, value in _lines() if name == key), "")


@cache
def _lines() -> tuple[tuple[str, str], ...]:
    if not _CPUINFO.is_file():
        return ()
    lines = _CPUINFO.read_text("utf-8", "replace").splitlines()
    return tuple((name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
