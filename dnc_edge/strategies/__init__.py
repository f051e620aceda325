"""The strategies by name: how decomposer and solver work on one question. A new one is one entry in `STRATEGIES`."""

from dnc_edge.strategies.base import Dynamic, Parts, Single, Static, Strategy
from dnc_edge.strategies.graph import Auto, Graph

__all__ = ["STRATEGIES", "Auto", "Dynamic", "Graph", "Parts", "Single", "Static", "Strategy"]

STRATEGIES: dict[str, Strategy] = {
    "single": Single(),
    "static": Static(),
    "dynamic": Dynamic(),
    "graph": Graph(),
    "auto": Auto(),
}
