"""Prompt lookup: guess the next tokens from where the last two stood before.

Sub-questions copy spans of the question, so on real ones two guesses in three are right; several guesses
are verified in one decode, which costs much less than as many decodes (docs/engines.md has the figures).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dnc_edge.engines.observer import Observer

# Guesses in one go. More cost more than they bring.
MOST_GUESSES = 3


class PromptLookup(Observer):
    """The tokens of one sequence, prompt included, indexed by pairs."""

    def __init__(self, prompt: Iterable[int]) -> None:
        self._tokens: list[int] = []
        self._after: dict[tuple[int, int], int] = {}  # the place after the last occurrence of a pair
        for token in prompt:
            self.add(token)

    def add(self, token: int) -> Sequence[int]:
        # A pair is entered once it has a successor, so that it never finds itself.
        if len(self._tokens) > 1:
            self._after[self._tokens[-2], self._tokens[-1]] = len(self._tokens)
        self._tokens.append(token)
        return ()

    def drop(self, count: int) -> None:
        """Take the last tokens back; pairs that they made may still be guessed from, and are verified like all."""
        del self._tokens[-count:]

    def guesses(self) -> Sequence[int]:
        """At most `MOST_GUESSES` tokens; none where the last two never stood before."""
        place = self._after.get((self._tokens[-2], self._tokens[-1])) if len(self._tokens) > 1 else None
        return [] if place is None else self._tokens[place : place + MOST_GUESSES]
