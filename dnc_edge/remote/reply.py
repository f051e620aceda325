"""The one shape in which every reply of a model is handed on."""

from __future__ import annotations

from dataclasses import dataclass

from dnc_edge.errors import SolverError
from dnc_edge.types import Usage


@dataclass(frozen=True)
class Reply:
    """What came of one attempt.

    Attributes:
        text: the answer, without any thinking.
        finish_reason: why the model stopped, in the provider's word; "" if it did not say.
        usage: the provider's counts. `usage.estimated` means that the provider sent none that can be read:
            the counts are then ours, and what it will bill is unknown.
        received: bytes of UTF-8 of all that the model was seen to generate: answer, thinking, refusal, tool calls,
            further choices. A bill below this cannot be right.
        complete: whether the reply was read to its end. A complete reply is billed, of use or not.
        error: why it is no answer; None for an answer.
    """

    text: str
    finish_reason: str
    usage: Usage
    received: int = 0
    complete: bool = True
    error: SolverError | None = None
