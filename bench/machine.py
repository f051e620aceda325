"""What a figure was measured on: no host name and no path, only what explains the figure."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dnc_edge import processor
from dnc_edge.engines.threads import cores
from dnc_edge.errors import UsageError

# Above this, another process takes so much that the figures would be about it.
MOST_LOAD = 0.3
# As Linux names them.
INSTRUCTIONS = (
    "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_int8", "asimd",
    "asimddp", "i8mm", "sve",
)  # fmt: skip


def machine() -> dict[str, str | int | float]:
    """Return CPU model, instruction sets, cores, memory in GiB, versions, commit and date."""
    facts: dict[str, str | int | float] = {
        "cpu": processor.model(),
        "instructions": _instructions(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
    }
    for package in ("llama-cpp-python", "onnxruntime"):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    return facts


def _instructions() -> str:
    """Which of the instruction sets that the engines' kernels use the processor has."""
    return " ".join(name for name in INSTRUCTIONS if name in processor.flags()) or platform.machine()


def commit() -> str:
    """Return the commit of the checkout this runs from; "unknown" outside one."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    run = subprocess.run(command, cwd=Path(__file__).resolve().parent, capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"


def idle_load(seconds: float = 1.0) -> float | None:
    """Return how many cores other processes keep busy, on average over some seconds; None if it cannot be measured."""
    before, started = _busy(), time.monotonic()
    time.sleep(seconds)
    after = _busy()
    if before is None or after is None:
        return None
    return round((after - before) / (time.monotonic() - started), 2)


def must_be_idle(busy: bool) -> float | None:
    """Return how many cores other processes keep busy, as `idle_load` measures it.

    Raises:
        UsageError: they would be what is measured, and `busy` does not allow that.
    """
    load = idle_load()
    if load is not None and load > MOST_LOAD and not busy:
        raise UsageError(
            f"other processes keep {load:.1f} cores busy", hint="stop them, or measure all the same with --busy"
        )
    return load


def _busy() -> float | None:
    """Return the seconds that all cores together have worked since the machine started."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    except (OSError, IndexError):
        return None
    user, nice, system, _idle, _wait, *rest = map(int, fields)
    return (user + nice + system + sum(rest[:3])) / os.sysconf("SC_CLK_TCK")


def peak_memory() -> int:
    """Return the peak memory of this process, in bytes.

    Not `ru_maxrss`, which a child inherits from whoever started it.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
