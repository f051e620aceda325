"""Segments that never repeat: a plan must not ask the same sub-question twice.

Small models loop. When a segment (the tokens between two separators) turns out to be one that was there
already, the sequence goes back to where it was most likely to have gone another way, and goes that way.
(Ending there instead was tried: on held-out training problems it costs 0.03 plan F1, docs/students.md.)
Tokens of a segment that may still become a repeat are held back, so nothing that was passed on is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Alternatives remembered at each position, and rewinds of one segment before the sequence ends.
ALTERNATIVES = 4
PATIENCE = 4


@dataclass(frozen=True)
class Rewind:
    """Drop the last `drop` tokens of the segment and go on with `token` instead.

    `token` ends the sequence where it is one of the end tokens.
    """

    drop: int
    token: int
    logprob: float


@dataclass
class _Position:
    token: int
    logprob: float
    others: list[tuple[int, float]]  # (token, log-probability), likeliest first


class DistinctSegments:
    """Watches one sequence token by token.

    Args:
        separators: token ids that end a segment and begin the next.
        ends: token ids that end the sequence.
    """

    def __init__(self, separators: frozenset[int], ends: frozenset[int]) -> None:
        self._separators = separators
        self._ends = ends
        self._seen: set[tuple[int, ...]] = set()
        self._segment: list[int] = []
        self._positions: list[_Position] = []
        self._prefixes: set[tuple[int, ...]] = set()
        self._tries = 0

    @property
    def holding(self) -> bool:
        """Whether the segment so far begins like an earlier one, so that it may still be a repeat."""
        return bool(self._positions) and tuple(self._segment) in self._prefixes

    def add(self, token: int, logprob: float, logits: NDArray[np.float32]) -> Rewind | None:
        """Take the next token, chosen from `logits`; a `Rewind` where it completes a repeat."""
        if token not in self._separators and token not in self._ends:
            # Alternatives matter only while the segment follows an earlier one.
            if tuple(self._segment) in self._prefixes:
                self._positions.append(_Position(token, logprob, self._others(token, logprob, logits)))
            self._segment.append(token)
            return None
        if tuple(self._segment) in self._seen:
            return self._elsewhere()
        self._remember(tuple(self._segment))
        return None

    def _remember(self, segment: tuple[int, ...]) -> None:
        if segment:
            self._seen.add(segment)
            self._prefixes.update(segment[:length] for length in range(len(segment) + 1))
        self._segment, self._positions, self._tries = [], [], 0

    def _others(self, token: int, logprob: float, logits: NDArray[np.float32]) -> list[tuple[int, float]]:
        top = np.argpartition(logits, -ALTERNATIVES - 1)[-ALTERNATIVES - 1 :]
        ranked = sorted((int(id) for id in top), key=lambda id: -float(logits[id]))
        skipped = {token} | self._separators | self._ends
        return [(id, logprob + float(logits[id] - logits[token])) for id in ranked if id not in skipped]

    def _elsewhere(self) -> Rewind:
        """The likeliest other token at some position of the repeated segment; the end where none is left."""
        self._tries += 1
        best: tuple[float, int] | None = None
        before = 0.0
        for index, position in enumerate(self._positions):
            if position.others and (best is None or before + position.others[0][1] > best[0]):
                best = (before + position.others[0][1], index)
            before += position.logprob
        if best is None or self._tries > PATIENCE:
            return Rewind(len(self._segment), min(self._ends), 0.0)
        index = best[1]
        drop = len(self._segment) - index
        others = self._positions[index].others
        token, logprob = others.pop(0)
        self._segment[index:] = [token]
        self._positions[index:] = [_Position(token, logprob, others)]
        return Rewind(drop, token, logprob)
