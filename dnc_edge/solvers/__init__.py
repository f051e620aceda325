"""Solvers: a question and a plan in, sub-answers and an answer out."""

from dnc_edge.solvers.chat import ChatSolver
from dnc_edge.solvers.fallback import FallbackSolver
from dnc_edge.solvers.local import LocalSolver
from dnc_edge.solvers.protocol import History, Mode, Solver

__all__ = ["ChatSolver", "FallbackSolver", "History", "LocalSolver", "Mode", "Solver"]
