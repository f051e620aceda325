"""Observers: what watches one sequence while it is decoded, and may take part in it."""

from __future__ import annotations

from collections.abc import Sequence


class Observer:
    """Sees every token of one request, in order, in whichever thread decodes; made anew for each request.

    Every method has a default that leaves the sequence alone. An engine knows token ids only; an observer may know
    what they mean (`students/lines.py`).
    """

    def allows(self, token: int) -> bool:
        """Whether `token` may come next. Where it may not, the sequence goes the likeliest other way."""
        return True

    def holds(self, token: int) -> bool:
        """Whether `token`, if it comes next, may have to be taken back; it is then not passed on yet."""
        return False

    def add(self, token: int) -> Sequence[int]:
        """Take the next token; what is returned follows it, whatever the model would have chosen."""
        return ()

    def drop(self, count: int) -> None:
        """Forget the last `count` tokens, at least 1: the sequence goes another way from there."""

    def guesses(self) -> Sequence[int]:
        """Tokens that are likely to come next: they are decoded at once and kept as far as they turn out right."""
        return ()

    @property
    def done(self) -> bool:
        """Whether the sequence may end here; it does, with finish "stop"."""
        return False
