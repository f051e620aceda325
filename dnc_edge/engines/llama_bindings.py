"""llama-cpp-python's bindings alone, without the rest of the package.

Importing the package also imports its chat formats, caches and templates (50 ms that nothing here uses), so
the module with the bindings is loaded by itself. Whoever imports the package later gets all of it, around
the same bindings.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

from dnc_edge.engines.loading import loading


def _bindings() -> Any:
    if sys.modules.get("llama_cpp"):
        return importlib.import_module("llama_cpp.llama_cpp")
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None:
        raise ModuleNotFoundError("No module named 'llama_cpp'", name="llama_cpp")
    # An unexecuted package is enough for its submodules to find each other.
    sys.modules["llama_cpp"] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module("llama_cpp.llama_cpp")
    finally:
        del sys.modules["llama_cpp"]


with loading("llama.cpp"):
    llama = _bindings()
