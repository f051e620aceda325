"""What every solver offers, local or remote alike."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Literal, Protocol

from dnc_edge.remote.protocol import Chat
from dnc_edge.types import Answer, AnswerDelta, Notice, Question

Mode = Literal["cot", "direct"]
History = Sequence[tuple[str, str]]
Solving = Generator[AnswerDelta | Notice, None, Answer]


class Solver(Protocol):
    """Streams its reply and returns the whole answer, measured.

    Attributes:
        name: as the command line writes it.
        small: whether it is a small local model, whose answers need a warning.
        chat: the model that takes its messages; None if it takes none.
        shots: worked examples in its messages.
    """

    name: str
    small: bool
    chat: Chat | None
    shots: int

    @property
    def identity(self) -> Mapping[str, Any]:
        """What of it changes an answer; part of a record's key."""
        ...

    def prepare(self) -> None:
        """Do now what the first call needs (imports, connections, loading)."""
        ...

    def solve(self, question: Question, plan: Sequence[str], mode: Mode) -> Solving:
        """Answer the question, through the sub-questions if there are any.

        Raises:
            SolverError, PromptTooLong: no usable answer.
        """
        ...

    def step(self, question: Question, history: History, subquestion: str) -> Solving:
        """Answer one sub-question, given those answered so far."""
        ...

    def conclude(self, question: Question, history: History, rest: Sequence[str] = ()) -> Solving:
        """Answer the question, given its answered sub-questions.

        Args:
            question: what was asked.
            history: sub-questions with their answers.
            rest: further sub-questions, to be answered on the way; the answer's sub-answers are theirs.
        """
        ...
