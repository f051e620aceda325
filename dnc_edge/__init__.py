"""dnc-edge: split a question on local hardware, answer it with any solver."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dnc_edge.edge import Edge
    from dnc_edge.errors import DncError
    from dnc_edge.types import Answer, Plan, Question, Record, Usage

__version__ = "0.1.0"
__all__ = ["Answer", "DncError", "Edge", "Plan", "Question", "Record", "Usage", "__version__"]

_HOMES = {"Edge": "edge", "DncError": "errors"} | dict.fromkeys(
    ("Answer", "Plan", "Question", "Record", "Usage"), "types"
)


def __getattr__(name: str) -> Any:
    # Lazy, so that importing the package loads no engine and no SDK.
    if name in _HOMES:
        return getattr(import_module(f"dnc_edge.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'dnc_edge' has no attribute {name!r}")
