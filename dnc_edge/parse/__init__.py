"""Read what models write: text to sub-questions, text to final answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dnc_edge.parse.markers import without_marker
from dnc_edge.parse.plans import ParsedPlan, plan
from dnc_edge.parse.structured import QUESTION_MARKS
from dnc_edge.parse.text import fold, without_repeats

if TYPE_CHECKING:
    from dnc_edge.parse.answers import final_answer, own_part, scored_answer, subanswers
    from dnc_edge.parse.numbers import number

__all__ = [
    "QUESTION_MARKS",
    "ParsedPlan",
    "final_answer",
    "fold",
    "number",
    "own_part",
    "plan",
    "scored_answer",
    "subanswers",
    "without_marker",
    "without_repeats",
]

if not TYPE_CHECKING:
    # Loaded on first use: the patterns for answers take milliseconds to compile, and no sub-question needs them.
    def __getattr__(name: str) -> Any:
        if name in ("final_answer", "own_part", "scored_answer", "subanswers", "number"):
            from dnc_edge.parse import answers, numbers

            globals().update(
                final_answer=answers.final_answer,
                own_part=answers.own_part,
                scored_answer=answers.scored_answer,
                subanswers=answers.subanswers,
                number=numbers.number,
            )
            return globals()[name]
        raise AttributeError(name)
