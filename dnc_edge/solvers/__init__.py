"""Solvers: a question and a plan in, sub-answers and an answer out."""

from dnc_edge.solvers.endpoint import EndpointSolver
from dnc_edge.solvers.fallback import FallbackSolver
from dnc_edge.solvers.local import LocalSolver
from dnc_edge.solvers.protocol import History, Mode, Solver

__all__ = ["EndpointSolver", "FallbackSolver", "History", "LocalSolver", "Mode", "Solver"]
