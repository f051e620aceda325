"""The engines' packages: which are installed, and one line if one is not, or does not load."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import signal
from collections.abc import Generator
from importlib.util import find_spec
from typing import Any

from dnc_edge.errors import EngineMissing

# Engines by name, the preferred one first, with the package that each imports.
ENGINES = {"llama.cpp": "llama_cpp", "onnxruntime": "onnxruntime"}
NAMES = {"llama.cpp": "llama-cpp-python", "onnxruntime": "onnxruntime"}
# Extras, and what to expect; the quick one first.
EXTRAS = {"onnxruntime": ("cpu", "under a minute"), "llama.cpp": ("gguf", "compiled in about five minutes")}

# Kept for as long as the process may call it.
_handler: Any = None


def installed() -> list[str]:
    """Engines whose package is there, the preferred one first."""
    return [engine for engine, package in ENGINES.items() if find_spec(package)]


def install(engine: str) -> str:
    """The command that installs an engine, and how long it takes."""
    from dnc_edge import installer

    extra, time = EXTRAS[engine]
    return f"{installer.command(extra)} ({time})"


def none_installed() -> EngineMissing:
    return EngineMissing("no engine is installed", hint=", or ".join(map(install, EXTRAS)))


@contextlib.contextmanager
def loading(engine: str) -> Generator[None]:
    """Import an engine's package; what stops that becomes one line, with what to do instead.

    Raises:
        EngineMissing: the package is not installed, or its library does not load: damaged, or for a newer system.
    """
    _end_illegal_instructions(engine)
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != ENGINES[engine]:
            raise _unusable(engine, str(error)) from error
        raise EngineMissing(f"{NAMES[engine]} is not installed", hint=install(engine)) from error
    except (ImportError, OSError, RuntimeError) as error:
        raise _unusable(engine, str(error)) from error


def _unusable(engine: str, reason: str) -> EngineMissing:
    first = (reason.splitlines() or ["it does not say why"])[0]
    other = next(name for name in ENGINES if name != engine)
    instead = f"--engine {other}" if other in installed() else install(other)
    return EngineMissing(f"{NAMES[engine]} does not load: {first}", hint=f"take the other engine: {instead}")


def _end_illegal_instructions(engine: str) -> None:
    """End with one line, too, if native code was compiled for a newer processor and the system stops it."""
    if os.name != "posix" or faulthandler.is_enabled() or signal.getsignal(signal.SIGILL) is not signal.SIG_DFL:
        return
    error = _unusable(engine, "it was compiled for a newer processor")
    line = f"dnc-edge: {error.message}; {error.hint}\n".encode()

    def end(_: int) -> None:
        os.write(2, line)
        os._exit(error.exit_code)

    # Not Python's own signals: their handlers run after the instruction, which never ends.
    global _handler
    _handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(end)
    ctypes.CDLL(None).signal(signal.SIGILL, _handler)
