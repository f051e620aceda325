"""A solver's success as a reward: whether it reaches the gold answer through a plan."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dnc_edge.errors import DncError
from dnc_edge.tasks.own import same_answer
from dnc_edge.tasks.problem import short_answer
from dnc_edge.train.demonstrations import half
from dnc_edge.train.prefer import Reward
from dnc_edge.types import Question

if TYPE_CHECKING:
    from dnc_edge.batch.paid import PaidRun


@contextlib.contextmanager
def solver_reward(solvers: Sequence[str], run: PaidRun, replies: Path) -> Generator[Reward]:
    """Yield a reward by one solver, or by two that were each trained on one half of the questions.

    The same plan of the same question is never solved twice, in this run or the next.
    """
    with contextlib.ExitStack() as stack:
        edges = [stack.enter_context(run.edge(replies=replies, solver=solver)) for solver in solvers]

        def reward(question: str, context: str | None, plan: Sequence[str], gold: str) -> float:
            asked = Question(question, context)
            edge = edges[1 - half(question)] if len(edges) == 2 else edges[0]
            try:
                record = edge.solve(asked, plan)
            except DncError as error:
                if error.fatal:
                    raise
                return 0.0
            return float(same_answer(short_answer(record), gold))

        yield reward
