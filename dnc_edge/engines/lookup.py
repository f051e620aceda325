"""Prompt lookup: guess the next tokens from where the last two stood before.

Sub-questions copy spans of the question, so on real ones two guesses in three are right; several guesses
are verified in one decode, which costs much less than as many decodes (docs/engines.md has the figures).
"""

from __future__ import annotations

from collections.abc import Iterable

# Guesses in one go. More cost more than they bring.
MOST_GUESSES = 3


class PromptLookup:
    """The tokens of one sequence, indexed by pairs."""

    def __init__(self, tokens: Iterable[int]) -> None:
        self._tokens: list[int] = []
        self._after: dict[tuple[int, int], int] = {}  # the place after the last occurrence of a pair
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> None:
        # A pair is entered once it has a successor, so that it never finds itself.
        if len(self._tokens) > 1:
            self._after[self._tokens[-2], self._tokens[-1]] = len(self._tokens)
        self._tokens.append(token)

    def drop(self, count: int) -> None:
        """Take the last tokens back; pairs that they made may still be guessed from, and are verified like all."""
        if count:
            del self._tokens[-count:]

    def guesses(self) -> list[int]:
        """What may follow, at most `MOST_GUESSES` tokens; none where the last two never stood before."""
        place = self._after.get((self._tokens[-2], self._tokens[-1])) if len(self._tokens) > 1 else None
        return [] if place is None else self._tokens[place : place + MOST_GUESSES]
