"""GGUF levels made in process by llama.cpp; no binary is needed."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from dnc_edge.errors import StudentError, UsageError

# Level to llama.cpp's file type.
LEVELS = {
    "f32": 0, "f16": 1, "q8_0": 7, "q6_k": 18, "q5_k_m": 17, "q4_k_m": 15, "q3_k_m": 12, "q2_k": 10, "iq4_xs": 30,
}  # fmt: skip


def parse_levels(text: str, known: Collection[str] = LEVELS) -> list[str]:
    """Return the levels of a comma-separated list, in order, without repeats.

    Raises:
        UsageError: one is unknown; the list is shown.
    """
    levels = list(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = [level for level in levels if level not in known]
    if unknown or not levels:
        raise UsageError(f"unknown level {', '.join(unknown) or text!r}", hint=f"levels: {', '.join(known)}")
    return levels


def quantize(source: Path, target: Path, level: str, *, threads: int | None = None) -> None:
    """Write `source` (f32 or f16 GGUF) at `level` into `target`.

    Raises:
        StudentError: llama.cpp cannot; `target` is then gone.
        EngineMissing: llama-cpp-python is not installed, or does not load.
    """
    import ctypes

    from dnc_edge.engines.llama_bindings import llama
    from dnc_edge.engines.llama_cpp import initialise
    from dnc_edge.engines.threads import cores

    initialise()
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype = LEVELS[level]
    parameters.nthread = threads or cores()
    status = llama.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(parameters))
    if status != 0:
        target.unlink(missing_ok=True)
        raise StudentError(f"llama.cpp cannot quantize {source} to {level} (status {status})")
