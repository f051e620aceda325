"""Tasks by name: questions with gold answers, gold plans where there are some, and a scorer.

A task is one module here, and nothing else has to be said of it: `load()` returns its problems, `scores(answer,
problem)` its metrics, each from 0 to 1, the one that is reported first.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from dnc_edge.errors import UsageError
from dnc_edge.tasks.problem import Problem

# Modules here that are no task: what tasks are made of.
PARTS = frozenset({"files", "own", "plans", "problem", "stats"})
__all__ = ["Problem", "Task", "load", "names"]


@dataclass(frozen=True)
class Task:
    """Problems and how answers to them are scored; `metric` is the first of the scores."""

    name: str
    problems: list[Problem] = field(repr=False)
    scores: Callable[[str | None, Problem], dict[str, float]] = field(repr=False)

    @property
    def metric(self) -> str:
        return next(iter(self.scores(None, self.problems[0])))

    @property
    def has_plans(self) -> bool:
        return all(problem.plan is not None for problem in self.problems)

    @property
    def answered(self) -> Task:
        """The task without its open questions, which have no gold answer to score against.

        Raises:
            UsageError: no question is left.
        """
        problems = [problem for problem in self.problems if problem.answer]
        if not problems:
            raise UsageError(f"no question taken from {self.name} has a gold answer", hint="take more of them")
        return replace(self, problems=problems)


def names() -> list[str]:
    """The tasks that come along, in alphabetical order."""
    modules = {module.name for module in pkgutil.iter_modules(__path__)} - PARTS
    return sorted(module.replace("_", "-") for module in modules)


def load(
    name: str, *, limit: int | None = None, seed: int | None = None, columns: Mapping[str, str] | None = None
) -> Task:
    """A task by name, or a JSONL file of one's own.

    Args:
        name: one of `names()`, or a path that ends in .jsonl.
        limit: so many problems: the first, or with `seed` drawn at random, in the task's order.
        columns: our name to the file's, see `tasks.own`.

    Raises:
        UsageError: there is no such task, or none of its problems is left.
        DataMissing: its data set is not there. InputError: a file of one's own cannot be used.
    """
    if name.endswith(".jsonl"):
        from dnc_edge.tasks import own

        problems, scores = own.load(Path(name), columns or {}), own.scores
    elif name in names():
        module = importlib.import_module(f"dnc_edge.tasks.{name.replace('-', '_')}")
        problems, scores = module.load(), module.scores
    else:
        raise UsageError(f"there is no task {name!r}", hint=f"choose from: {', '.join(names())}, or a .jsonl file")
    problems = taken(problems, limit, seed)
    if not problems:
        raise UsageError(f"the task {name} has no problem")
    return Task(name, problems, scores)


def taken(problems: list[Problem], limit: int | None, seed: int | None) -> list[Problem]:
    """Return the first `limit` problems, or with a `seed` drawn ones, in the task's order."""
    if seed is not None and limit is not None and limit < len(problems):
        return [problems[index] for index in sorted(Random(seed).sample(range(len(problems)), limit))]
    return problems[:limit]
