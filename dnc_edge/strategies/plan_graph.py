"""What the references of a plan say of its sub-questions: which wait for which, and how many can be solved at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dnc_edge import prompts
from dnc_edge.types import Question

_HOW_MANY = re.compile(r"\bhow (?:many|much)\b", re.IGNORECASE)
# What is told before it is asked: "Tom has 3 boxes. How ...".
_TOLD = re.compile(r"[.!?][\"'”’)]*\s+\S")


@dataclass(frozen=True)
class PlanGraph:
    """A plan as a graph without cycles: a sub-question only refers to earlier ones.

    Attributes:
        plan: the sub-questions in order.
        needs: for each of them the indices of the earlier ones whose answers it needs.
    """

    plan: tuple[str, ...]
    needs: tuple[frozenset[int], ...]

    @classmethod
    def of(cls, question: Question, plan: Sequence[str]) -> PlanGraph:
        """Read the graph off the references of a plan.

        The plan of a problem with numbers often names every quantity in words, as GSM8K's do. If such a plan has no
        reference at all, its order is all that is known: each sub-question needs those before it.
        """
        if _names_quantities(question, plan):
            return cls(tuple(plan), tuple(frozenset(range(index)) for index in range(len(plan))))
        return cls(tuple(plan), tuple(needed(subquestion, index) for index, subquestion in enumerate(plan)))

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """The round of each sub-question, from 0: the first in which all that it needs is answered."""
        found: list[int] = []
        for needs in self.needs:
            found.append(max((found[index] + 1 for index in needs), default=0))
        return tuple(found)

    @property
    def depth(self) -> int:
        """The number of rounds."""
        return max(self.levels, default=-1) + 1

    @property
    def width(self) -> float:
        """Sub-questions for each round; 1 if none can be solved beside another."""
        return len(self.plan) / self.depth if self.plan else 0.0

    def behind(self, index: int) -> list[int]:
        """The indices, in order, of all that a sub-question needs, directly or through others."""
        found: set[int] = set()
        waiting = set(self.needs[index])
        while waiting:
            found |= waiting
            waiting = {other for one in waiting for other in self.needs[one]} - found
        return sorted(found)


def needed(subquestion: str, index: int) -> frozenset[int]:
    """The indices of the earlier sub-questions that the one at `index` refers to."""
    return frozenset(number - 1 for number in prompts.references(subquestion) if number <= index)


def says_its_order(question: Question, subquestion: str, index: int) -> bool:
    """Whether what the sub-question at `index` needs can be told before the rest of its plan is known.

    The first one needs nothing, whatever follows.
    """
    if index == 0 or prompts.references(subquestion):
        return True
    return prompts.kind_of(question.text, question.context) != "problem"


def _names_quantities(question: Question, plan: Sequence[str]) -> bool:
    """Whether a plan without references is that of a problem, told in sentences or asked for how many."""
    return (
        prompts.kind_of(question.text, question.context) == "problem"
        and not any(map(prompts.references, plan))
        and bool(_TOLD.search(question.text) or any(map(_HOW_MANY.search, plan)))
    )
