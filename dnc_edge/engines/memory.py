"""How much memory there is, and a refusal before a load that cannot fit."""

from __future__ import annotations

from pathlib import Path

from dnc_edge.errors import StudentError

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Bytes that can be had without swapping, a container's limit included; None where that cannot be told."""
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return free
    return free if limit == "max" else max(0, min(free, int(limit) - used))


def check_memory(path: Path, *, cache_bytes: int = 0, loaded: bool = False) -> None:
    """Refuse a model that would not fit.

    Args:
        path: the file of weights.
        cache_bytes: what the key-value cache will take.
        loaded: whether the weights are in memory already.

    Raises:
        StudentError: weights and cache exceed what is available.
    """
    available = available_memory()
    needed = cache_bytes + (0 if loaded else path.stat().st_size)
    if available is not None and needed > available:
        parts = f"a cache of {cache_bytes / 1e9:.1f} GB" if loaded else f"{needed / 1e9:.1f} GB of weights"
        raise StudentError(
            f"{path.name} needs {parts} and {available / 1e9:.1f} GB of memory are available",
            hint="take a smaller level or student" if not loaded else "take a smaller context or fewer slots",
        )
